"""Which values of a config may change between a stop and going on, and which may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schedules.declaration.functions import current_name

FREE = (
    "allow_code",
    "run.stop_after",
    "run.steps_per_call",
    "run.compile_cache",
    "run.profile",
    "checkpoint.",
    "resume.",
    "log.",
    "export",
    "data.keep",
    "data.cache",
)
"""The paths that may change between a stop and going on, since no update depends on them."""

BOUND = ("log.every",)
"""Exceptions that may not change: rows written before and after the stop would differ in kind."""


def is_free(path: str) -> bool:
    """Whether the value at an override path may change without making it another run."""
    return path.startswith(FREE) and path not in BOUND


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """Flattens nested mappings to one mapping from override paths to values.

    Functions of this project that have moved have their present names.
    """
    if not isinstance(tree, Mapping):
        is_function = path.endswith("call") and isinstance(tree, str)
        return {path: current_name(tree) if is_function else tree}
    leaves: dict[str, Any] = {}
    for key, branch in tree.items():
        leaves.update(flat(branch, f"{path}.{key}" if path else str(key)))
    return leaves
