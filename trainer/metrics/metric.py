"""What a metric is: a frozen declaration of a number that evaluations compute."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Kind, refuse

from ..data import Facts
from ..losses.loss import Tasks

if TYPE_CHECKING:
    import tensorflow as tf

Direction = Literal["min", "max"]
"""Whether a lower or a higher number is better."""
Parts = Mapping[str, NDArray[np.float64]]
"""The parts of all batches, added up or concatenated."""


class EvaluationBatch(NamedTuple):
    """Examples that are evaluated together."""

    outputs: tf.Tensor
    """The network's raw outputs, `[n, outputs]`."""
    predictions: tf.Tensor
    """What the loss makes of the outputs: probabilities of classes, or numbers."""
    labels: tf.Tensor
    """`[n]` for classes, `[n, targets]` for numbers."""


class Metric(Kind, family=True):
    """A number for all test examples, which does not depend on the size of the batches.

    TensorFlow computes `parts` for a batch. The parts of all batches are added up in float64, or
    concatenated where the metric `gathers`; `value` makes the number from the result.
    """

    tasks: ClassVar[Tasks] = ("classes", "numbers")
    """The sorts of labels that it is for."""
    better: ClassVar[Direction | None] = None
    """Which numbers are better; None where the kind does not know."""
    gathers: ClassVar[bool] = False
    """Whether the parts are concatenated rather than added up."""

    def check(self, facts: Facts) -> None:
        """Checks whether the metric suits data of these facts.

        Raises:
            Refused: when it doesn't.
        """
        if facts.task not in self.tasks:
            suited = (kind for kind, metric in Metric.kinds.items() if facts.task in metric.tasks)  # type: ignore[attr-defined]  # all are metrics
            rule = f"is for labels that are {self.tasks[0]}, and the labels are {facts.task}"
            raise refuse("", self.kind, rule, f"known: {', '.join(sorted(suited))}")

    @abstractmethod
    def parts(self, batch: EvaluationBatch) -> dict[str, tf.Tensor]:
        """The parts of one batch."""

    @abstractmethod
    def value(self, parts: Parts, count: int) -> float:
        """The metric, from the parts of all `count` examples; NaN where it is undefined."""


class Mean(Metric):
    """A metric that is a mean over the examples."""

    @abstractmethod
    def per_example(self, batch: EvaluationBatch) -> tf.Tensor:
        """The number of each example, `[n]` in float32."""

    def parts(self, batch: EvaluationBatch) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        return {"sum": tf.reduce_sum(self.per_example(batch))}

    def value(self, parts: Parts, count: int) -> float:
        return float(parts["sum"]) / count
