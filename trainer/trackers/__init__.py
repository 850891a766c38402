"""Trackers, declared: where the rows of a run go besides its `metrics.jsonl`.

A tracker is an entry of `log` under its kind's name: `log.mlflow.uri=…` switches one on and
`~log.tensorboard` one off. No tracker binds a run's folder, and none can stop a run.

Sees `runs`.
"""

from .log import Log
from .rows import Row, Rows
from .tracker import Tracked, Tracker, TrackerRun

Tracker.kinds.declared_in(__name__, "mlflow", "table", "tensorboard", "wandb")

__all__ = ["Log", "Row", "Rows", "Tracked", "Tracker", "TrackerRun"]
