"""Trackers, declared: where the rows of a run go besides its `metrics.jsonl`.

Each is an entry of `log`, by its kind's name, so that `log.mlflow.uri=…` switches one on and
`~log.tensorboard` one off. None of them binds a run's folder, and none of them can stop a run.
"""

from . import mlflow, table, tensorboard, wandb  # noqa: F401  # each registers its kind
from .log import Log
from .rows import Row, Rows
from .tracker import Tracked, Tracker, TrackerRun

__all__ = ["Log", "Row", "Rows", "Tracked", "Tracker", "TrackerRun"]
