"""What a metric is: a frozen declaration of what is told of the test examples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Kind, refuse

from ..data import Facts
from ..losses.loss import Tasks

if TYPE_CHECKING:
    import tensorflow as tf

Parts = Mapping[str, NDArray[np.float64]]
"""What became of the parts of all chunks."""


class Judged(NamedTuple):
    """Examples that are evaluated together."""

    outputs: tf.Tensor
    """What the network gives, `[n, outputs]`."""
    predictions: tf.Tensor
    """What the loss takes that for: probabilities of classes, or numbers."""
    labels: tf.Tensor
    """`[n]` for classes, `[n, targets]` for numbers."""


class Metric(Kind, family=True):
    """A number that an evaluation tells of all test examples, exactly, however they are chunked.

    `parts` is worked out in TensorFlow for a chunk; the parts of all chunks are added up in
    float64, or put one after another where it `gathers`; `value` makes the number of that.
    """

    tasks: ClassVar[Tasks] = ("classes", "numbers")
    """The sorts of labels that it is worked out for."""
    gathers: ClassVar[bool] = False
    """Whether it needs something of every single example."""

    def check(self, facts: Facts) -> None:
        """Whether it can be worked out for data of these facts.

        Raises:
            Refused: when it can't.
        """
        if facts.task not in self.tasks:
            known = (kind for kind, metric in Metric.kinds.items() if facts.task in metric.tasks)  # type: ignore[attr-defined]  # all are metrics
            rule = f"is for labels that are {self.tasks[0]}, and the labels are {facts.task}"
            raise refuse("", self.kind, rule, f"known: {', '.join(sorted(known))}")

    @abstractmethod
    def parts(self, judged: Judged) -> dict[str, tf.Tensor]:
        """What a chunk of examples adds."""

    @abstractmethod
    def value(self, parts: Parts, count: int) -> float:
        """The metric, of the parts of all `count` examples; NaN where it has none."""


class Mean(Metric):
    """A metric that is a mean over the examples."""

    @abstractmethod
    def of(self, judged: Judged) -> tf.Tensor:
        """What each example has of it, `[n]` in float32."""

    def parts(self, judged: Judged) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        return {"sum": tf.reduce_sum(self.of(judged))}

    def value(self, parts: Parts, count: int) -> float:
        return float(parts["sum"]) / count
