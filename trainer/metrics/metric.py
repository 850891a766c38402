"""What a metric is: a frozen declaration of a number that evaluations compute."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Kind, refuse

from ..data import Facts
from ..data.facts import Feature

if TYPE_CHECKING:
    import tensorflow as tf

Tasks = tuple[Literal["classes", "numbers", "marks"], ...]
"""Sorts of labels; `marks` are numbers that say of each of several classes whether it is right."""
SORTS = {"classes": "are classes", "numbers": "are numbers", "marks": "mark several classes"}
Direction = Literal["min", "max"]
"""Whether a lower or a higher number is better."""
Parts = Mapping[str, NDArray[np.float64]]
"""The parts of all batches, added up or concatenated."""


class EvaluationBatch(NamedTuple):
    """Examples that are evaluated together."""

    outputs: tf.Tensor
    """The network's raw outputs, `[n, outputs]`, where each place of an example is a row."""
    predictions: tf.Tensor
    """What the loss makes of the outputs: probabilities of classes, or numbers."""
    labels: tf.Tensor
    """`[n]` for classes, `[n, targets]` for numbers."""
    weights: tf.Tensor | None = None
    """What each row counts for, `[n]`, 0 where it is masked; None where all count alike."""
    examples: EvaluationBatch | None = None
    """The same before places became rows, an entry an example."""

    @classmethod
    def of(
        cls,
        outputs: tf.Tensor,
        predictions: tf.Tensor,
        labels: tf.Tensor,
        label: Feature,
        weights: tf.Tensor | None,
        mask: tf.Tensor | None,
    ) -> Self:
        """Rows from outputs and labels that may have a place for each pixel or word."""
        import tensorflow as tf

        examples = cls(outputs, predictions, labels, weights)
        places = label.shape if label.classes is not None else label.shape[:-1]
        shape = tf.shape(labels)[: len(places) + 1]
        if weights is not None:
            weights = _at_places(weights, shape)
        if mask is not None and len(mask.shape) <= len(places) + 1:
            there = _at_places(tf.cast(mask, tf.float32), shape)
            weights = there if weights is None else weights * there
        if not places:
            return cls(outputs, predictions, labels, weights, examples)
        outputs, predictions = (tf.reshape(x, [-1, x.shape[-1]]) for x in (outputs, predictions))
        labels = tf.reshape(labels, [-1, *labels.shape[len(places) + 1 :]])
        return cls(outputs, predictions, labels, weights, examples)

    def weighted(self, rows: tf.Tensor) -> tf.Tensor:
        """Numbers of each row, `[n]` or `[n, …]`, times its weight."""
        import tensorflow as tf

        if self.weights is None:
            return rows
        weights = tf.reshape(self.weights, [-1, *[1] * (len(rows.shape) - 1)])
        return rows * tf.cast(weights, rows.dtype)

    def weight(self, rows: tf.Tensor) -> tf.Tensor:
        """What all rows count for together."""
        import tensorflow as tf

        return tf.shape(rows)[0] if self.weights is None else tf.reduce_sum(self.weights)


def _at_places(weights: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Weights `[n, …]` for each place of examples, whose axes are `shape`, in one row."""
    import tensorflow as tf

    for _ in range(shape.shape[0] - len(weights.shape)):
        weights = weights[..., None]
    return tf.reshape(tf.broadcast_to(weights, shape), [-1])


class Metric(Kind, family=True):
    """A number for all test examples, which does not depend on the size of the batches.

    TensorFlow computes `parts` for a batch. The parts of all batches are added up in float64, or
    concatenated where the metric `gathers`; `value` makes the number from the result.
    """

    tasks: ClassVar[Tasks] = ("classes", "numbers")
    """The sorts of labels that it is for."""
    label: str | None = None
    """Which of several labels it is of; null for each that it suits, with the label's name before
    its own."""
    better: ClassVar[Direction | None] = None
    """Which numbers are better; None where the kind does not know."""
    gathers: ClassVar[bool] = False
    """Whether the parts are concatenated rather than added up."""

    def check(self, facts: Facts, *, marks: bool = False) -> None:
        """Checks whether the metric suits data of these facts, whose numbers may be `marks`.

        Raises:
            Refused: when it doesn't.
        """
        if not self.suits(facts.label, marks=marks):
            known = [kind for kind, m in Metric.kinds.items() if m.suits(facts.label, marks=marks)]
            hint = f"known: {', '.join(sorted(known))}"
            if "marks" in self.tasks and facts.task == "numbers":
                hint += "; loss=binary_cross_entropy, if each number marks a class by 1"
            rule = f"is for labels that {SORTS[self.tasks[0]]}, and the labels are {facts.task}"
            raise refuse("", self.kind, rule, hint)

    @classmethod
    def suits(cls, label: Feature, *, marks: bool) -> bool:
        """Whether the metric is for such a label, whose numbers may be `marks`."""
        is_marks = marks and label.task == "numbers"
        return label.task in cls.tasks or (is_marks and "marks" in cls.tasks)

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

        rows = self.per_example(batch)
        return {"sum": tf.reduce_sum(batch.weighted(rows)), "weight": batch.weight(rows)}

    def value(self, parts: Parts, count: int) -> float:
        return float(parts["sum"] / parts["weight"])
