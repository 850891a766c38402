"""Trackers, declared: where the rows of a run go besides its `metrics.jsonl`.

A tracker is an entry of `log` under its kind's name: `log.mlflow.uri=…` switches one on and
`~log.tensorboard` one off. No tracker binds a run's folder, and none can stop a run.

Sees `runs`.
"""

from . import mlflow, table, tensorboard, wandb  # noqa: F401  # each registers its kind
from .log import Log
from .rows import Row, Rows
from .tracker import Tracked, Tracker, TrackerRun

__all__ = ["Log", "Row", "Rows", "Tracked", "Tracker", "TrackerRun"]
