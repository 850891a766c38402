"""Metrics of labels that name a class, or mark several."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Whole, refuse

from ..data import Facts
from .metric import Direction, EvaluationBatch, Mean, Metric, Parts, Tasks

if TYPE_CHECKING:
    import tensorflow as tf


class Accuracy(Mean):
    """The share of examples whose class has the highest output."""

    tasks: ClassVar[Tasks] = ("classes",)

    kind: Literal["accuracy"] = "accuracy"
    better: ClassVar[Direction | None] = "max"

    def per_example(self, batch: EvaluationBatch) -> tf.Tensor:
        import tensorflow as tf

        labels = batch.labels
        is_right = tf.argmax(batch.outputs, axis=-1, output_type=labels.dtype) == labels
        return tf.cast(is_right, tf.float32)


class BinaryAccuracy(Mean):
    """The share of marks that are right: above a half where the class is, and else not.

    It is for labels that mark several classes, and is Keras' `BinaryAccuracy`.
    """

    tasks: ClassVar[Tasks] = ("marks",)

    kind: Literal["binary_accuracy"] = "binary_accuracy"
    better: ClassVar[Direction | None] = "max"

    def per_example(self, batch: EvaluationBatch) -> tf.Tensor:
        import tensorflow as tf

        is_right = marked(batch.predictions) == marked(batch.labels)
        return tf.reduce_mean(tf.cast(is_right, tf.float32), axis=-1)


class TopKAccuracy(Mean):
    """The share of examples whose class has one of the k highest outputs.

    A class counts where fewer than k others have a higher output, as in Keras'
    `SparseTopKCategoricalAccuracy`.
    """

    tasks: ClassVar[Tasks] = ("classes",)

    kind: Literal["top_k_accuracy"] = "top_k_accuracy"
    better: ClassVar[Direction | None] = "max"
    k: Annotated[Whole, Field(ge=1)] = 5
    """How many of the highest outputs count."""

    def check(self, facts: Facts, *, marks: bool = False) -> None:
        super().check(facts, marks=marks)
        if self.k >= facts.outputs:
            rule = f"must be below {facts.outputs}, the number of classes, or all is right"
            raise refuse("k", self.k, rule, f"{facts.outputs - 1} at most")

    def per_example(self, batch: EvaluationBatch) -> tf.Tensor:
        import tensorflow as tf

        label_output = tf.gather(batch.outputs, batch.labels, batch_dims=1)
        higher = tf.reduce_sum(tf.cast(batch.outputs > label_output[:, None], tf.int32), axis=-1)
        return tf.cast(higher < self.k, tf.float32)


class Counts(NamedTuple):
    """For each class: the examples of it, those predicted as it, and those that are both."""

    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    right: NDArray[np.float64]


class Counted(Metric):
    """A metric of the `Counts` of each class.

    `macro` is the plain mean over the classes that have examples or are predicted; `weighted`
    weighs each class by its examples; a number is the one class to take, such as 1 for the positive
    one of two. A ratio of 0 to 0 is 0. The same as scikit-learn's functions, with `average=…` and
    `zero_division=0`; the class with the highest output is the predicted one. Where labels mark
    several classes, those with a probability above a half are.
    """

    better: ClassVar[Direction | None] = "max"
    tasks: ClassVar[Tasks] = ("classes", "marks")

    average: Literal["macro", "weighted"] | Annotated[Whole, Field(ge=0)] = "macro"
    """How to average over the classes, or the number of the only one to take."""

    def check(self, facts: Facts, *, marks: bool = False) -> None:
        super().check(facts, marks=marks)
        if isinstance(self.average, int) and self.average >= facts.outputs:
            rule = f"must be one of the classes, 0 to {facts.outputs - 1}"
            raise refuse("average", self.average, rule, "macro")

    def parts(self, batch: EvaluationBatch) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        classes = batch.outputs.shape[-1]
        if batch.labels.dtype.is_floating:
            true, predicted = (
                tf.cast(marked(x), tf.float32) for x in (batch.labels, batch.predictions)
            )
        else:
            true = tf.one_hot(batch.labels, classes)
            predicted = tf.one_hot(tf.argmax(batch.outputs, axis=-1), classes)
        rows_of = {"true": true, "predicted": predicted, "right": true * predicted}
        return {n: tf.reduce_sum(batch.weighted(rows), axis=0) for n, rows in rows_of.items()}

    def value(self, parts: Parts, count: int) -> float:
        values = self.per_class(Counts(**parts))
        if isinstance(self.average, int):
            return float(values[self.average])
        occurs = parts["true"] + parts["predicted"] > 0
        weights = parts["true"][occurs] if self.average == "weighted" else None
        return float(np.average(values[occurs], weights=weights))

    @abstractmethod
    def per_class(self, counts: Counts) -> NDArray[np.float64]:
        """The metric of each class."""


class Precision(Counted):
    """Of the examples for which a class is predicted, the share that is of it."""

    kind: Literal["precision"] = "precision"

    def per_class(self, counts: Counts) -> NDArray[np.float64]:
        return _ratio(counts.right, counts.predicted)


class Recall(Counted):
    """Of the examples of a class, the share for which it is predicted.

    With `macro` it is the balanced accuracy.
    """

    kind: Literal["recall"] = "recall"

    def per_class(self, counts: Counts) -> NDArray[np.float64]:
        return _ratio(counts.right, counts.true)


class F1(Counted):
    """The harmonic mean of precision and recall of a class."""

    kind: Literal["f1"] = "f1"

    def per_class(self, counts: Counts) -> NDArray[np.float64]:
        return _ratio(2 * counts.right, counts.true + counts.predicted)


class Auc(Metric):
    """The area under the ROC curve, from the ranks of all test examples, ties counting half.

    It is how probably an example of a class gets a higher probability of the class than an example
    of another class. The mean is over the classes that some examples have and some have not; for
    two classes it is the area of class 1. The same as scikit-learn's
    `roc_auc_score(multi_class="ovr")`, also where labels mark several classes. Keras' `AUC`
    approximates it by 200 thresholds.
    """

    tasks: ClassVar[Tasks] = ("classes", "marks")
    gathers: ClassVar[bool] = True

    kind: Literal["auc"] = "auc"
    better: ClassVar[Direction | None] = "max"

    def parts(self, batch: EvaluationBatch) -> dict[str, tf.Tensor]:
        weights = {} if batch.weights is None else {"weights": batch.weights}
        return {"predictions": batch.predictions, "labels": batch.labels, **weights}

    def value(self, parts: Parts, count: int) -> float:
        scores, labels, weights = parts["predictions"], parts["labels"], parts.get("weights")
        positive = marked(labels) if labels.ndim > 1 else labels[:, None] == range(scores.shape[1])
        areas = [area(scores[:, k], positive[:, k], weights) for k in range(scores.shape[1])]
        areas = [a for a in areas if not np.isnan(a)]
        return float(np.mean(areas)) if areas else float("nan")


def area(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """The area under the ROC curve, by the rank sum of Mann and Whitney; NaN where undefined.

    >>> area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    if not np.isfinite(scores).all():
        return float("nan")
    weights = np.ones(len(scores)) if weights is None else weights
    _, group = np.unique(scores, return_inverse=True)
    above = np.bincount(group, weights * positive)
    below = np.bincount(group, weights * ~positive)
    # A positive wins against the negatives of all lower scores, and half against those of its own.
    won = above * (np.cumsum(below) - below / 2)
    positives, negatives = above.sum(), below.sum()
    return float(won.sum() / (positives * negatives)) if positives and negatives else float("nan")


def marked(probabilities: Any) -> Any:
    """Where a class is said to be there, in labels as in predictions."""
    return probabilities > 0.5


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
