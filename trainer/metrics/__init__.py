"""The numbers of an evaluation besides the loss: declared kinds of metrics.

Sees `data` and `losses`; modules import no TensorFlow, methods do.
"""

from . import classes, distances, python  # noqa: F401  # each registers its kinds
from .metric import EvaluationBatch, Metric
from .metrics import Metrics
from .tally import Tally, check_evaluation, judge, parts

__all__ = ["EvaluationBatch", "Metric", "Metrics", "Tally", "check_evaluation", "judge", "parts"]
