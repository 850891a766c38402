"""The numbers of an evaluation besides the loss: declared kinds of metrics.

Sees `data` and `losses`; modules import no TensorFlow, methods do.
"""

from .metric import EvaluationBatch, Metric
from .metrics import Metrics
from .tally import Tally, check_evaluation, judge, parts

Metric.kinds.declared_in(__name__, "classes", "distances", "python")

__all__ = ["EvaluationBatch", "Metric", "Metrics", "Tally", "check_evaluation", "judge", "parts"]
