"""Trains what a config declares.

In a program: `from trainer import Experiment, sweep, train`. Importing this imports nothing else;
what it names is imported on use, and TensorFlow once there is something to train.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schedules import Refused

    from .commands.api import train
    from .commands.outcome import Outcome
    from .config.experiment import Experiment
    from .sweeps.api import sweep
    from .training.call import Call

__all__ = ["Call", "Experiment", "Outcome", "Refused", "sweep", "train"]

_HOMES = {
    "Call": "trainer.training.call",
    "Experiment": "trainer.config.experiment",
    "Outcome": "trainer.commands.outcome",
    "Refused": "schedules",
    "sweep": "trainer.sweeps.api",
    "train": "trainer.commands.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
