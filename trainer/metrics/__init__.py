"""What an evaluation tells besides the loss: declared kinds of metrics."""

from . import classes, distances, python  # noqa: F401  # each registers its kinds
from .metric import Judged, Metric
from .metrics import Metrics
from .tally import Tally, parts, rehearse

__all__ = ["Judged", "Metric", "Metrics", "Tally", "parts", "rehearse"]
