"""What people expect to begin an override and does not, and what to type instead."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from ..data import Data
from ..optimizers import Optimizer
from ..trackers import Log
from .settings import Checkpoint, Evaluate, Resume, Run

SECTIONS: Mapping[str, type[BaseModel]] = {
    "run": Run,
    "data": Data,
    "log": Log,
    "evaluate": Evaluate,
    "checkpoint": Checkpoint,
    "resume": Resume,
}
PACKAGE_HINT = "let its file begin with the line # @package _global_"
"""For a group that is no part of the config, under whose name Hydra puts its values."""


def _hints_of_sections() -> dict[str, str]:
    """For every key of a section, the overrides that set it."""
    overrides: dict[str, list[str]] = {}
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            overrides.setdefault(key, []).append(f"{section}.{key}")
    return {key: f"did you mean {' or '.join(paths)}?" for key, paths in overrides.items()}


FIRST_KEY_HINTS: Mapping[str, str] = {
    **_hints_of_sections(),
    **Optimizer.key_hints,
    **Run.key_hints,
    "momentum": "optimizer.momentum=0.9",
    "experiment": PACKAGE_HINT,
}
"""For words that people let an override begin with, what to type instead."""
