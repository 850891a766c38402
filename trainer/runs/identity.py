"""What makes a run the run it is: which values of its config bind it, and which are free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schedules.declaration.functions import current_name

FREE = (
    "run.stop_after",
    "run.steps_per_call",
    "run.compile_cache",
    "run.profile",
    "checkpoint.",
    "resume.",
    "log.",
    "export",
    "data.keep",
)
"""What may change between a stop and going on, since no update depends on it."""


BOUND = ("log.every",)
"""What may not all the same: the rows from before would be others than those to come."""


def is_free(path: str) -> bool:
    """Whether a run is the same run whatever the value at this path is."""
    return path.startswith(FREE) and path not in BOUND


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """A tree of mappings as one mapping from override paths to values.

    Functions of ours that have moved since are called what they are called now.
    """
    if not isinstance(tree, Mapping):
        is_function = path.endswith("call") and isinstance(tree, str)
        return {path: current_name(tree) if is_function else tree}
    leaves: dict[str, Any] = {}
    for key, branch in tree.items():
        leaves.update(flat(branch, f"{path}.{key}" if path else str(key)))
    return leaves
