"""Metrics of labels that name a class."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Whole, refuse

from ..data import Facts
from ..losses.loss import Tasks
from .metric import Judged, Mean, Metric, Parts

if TYPE_CHECKING:
    import tensorflow as tf


class Accuracy(Mean):
    """The share of examples whose class has the highest output."""

    tasks: ClassVar[Tasks] = ("classes",)

    kind: Literal["accuracy"] = "accuracy"

    def of(self, judged: Judged) -> tf.Tensor:
        import tensorflow as tf

        labels = judged.labels
        right = tf.argmax(judged.outputs, axis=-1, output_type=labels.dtype) == labels
        return tf.cast(right, tf.float32)


class TopKAccuracy(Mean):
    """The share of examples whose class has one of the k highest outputs.

    A class counts where fewer than k others have a higher output, as in Keras'
    `SparseTopKCategoricalAccuracy`.
    """

    tasks: ClassVar[Tasks] = ("classes",)

    kind: Literal["top_k_accuracy"] = "top_k_accuracy"
    k: Annotated[Whole, Field(ge=1)] = 5
    """How many may come first."""

    def check(self, facts: Facts) -> None:
        super().check(facts)
        if self.k >= facts.outputs:
            rule = f"must be below {facts.outputs}, the number of classes, or all is right"
            raise refuse("k", self.k, rule, f"{facts.outputs - 1} at most")

    def of(self, judged: Judged) -> tf.Tensor:
        import tensorflow as tf

        own = tf.gather(judged.outputs, judged.labels, batch_dims=1)
        higher = tf.reduce_sum(tf.cast(judged.outputs > own[:, None], tf.int32), axis=-1)
        return tf.cast(higher < self.k, tf.float32)


class Counts(NamedTuple):
    """Of each class, how many of the test examples are of it, are predicted as it, and are both."""

    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    right: NDArray[np.float64]


class Counted(Metric):
    """What is worked out from how often each class is, is predicted, and is both.

    `macro` is the mean over the classes that come or are predicted, each counting alike;
    `weighted` counts each as often as it comes; a number is the class that alone is told of, such
    as 1 for the positive one of two.
    Where nothing divides by nothing it is 0. The same as scikit-learn's functions, with
    `average=…` and `zero_division=0`; the class with the highest output is the predicted one.
    """

    tasks: ClassVar[Tasks] = ("classes",)

    average: Literal["macro", "weighted"] | Annotated[Whole, Field(ge=0)] = "macro"
    """How the classes are brought together, or the number of the one that is told of."""

    def check(self, facts: Facts) -> None:
        super().check(facts)
        if isinstance(self.average, int) and self.average >= facts.outputs:
            rule = f"must be one of the classes, 0 to {facts.outputs - 1}"
            raise refuse("average", self.average, rule, "macro")

    def parts(self, judged: Judged) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        classes = judged.outputs.shape[-1]
        is_so = tf.one_hot(judged.labels, classes)
        said = tf.one_hot(tf.argmax(judged.outputs, axis=-1), classes)
        both = is_so * said
        named = {"true": is_so, "predicted": said, "right": both}
        return {name: tf.reduce_sum(each, axis=0) for name, each in named.items()}

    def value(self, parts: Parts, count: int) -> float:
        of_each = self.of_each(Counts(**parts))
        if isinstance(self.average, int):
            return float(of_each[self.average])
        there = parts["true"] + parts["predicted"] > 0
        weights = parts["true"][there] if self.average == "weighted" else None
        return float(np.average(of_each[there], weights=weights))

    @abstractmethod
    def of_each(self, counts: Counts) -> NDArray[np.float64]:
        """The metric of each class."""


class Precision(Counted):
    """Of the examples for which a class is predicted, the share that is of it."""

    kind: Literal["precision"] = "precision"

    def of_each(self, counts: Counts) -> NDArray[np.float64]:
        return _ratio(counts.right, counts.predicted)


class Recall(Counted):
    """Of the examples of a class, the share for which it is predicted.

    With `macro` it is what is called balanced accuracy.
    """

    kind: Literal["recall"] = "recall"

    def of_each(self, counts: Counts) -> NDArray[np.float64]:
        return _ratio(counts.right, counts.true)


class F1(Counted):
    """The harmonic mean of precision and recall of a class."""

    kind: Literal["f1"] = "f1"

    def of_each(self, counts: Counts) -> NDArray[np.float64]:
        return _ratio(2 * counts.right, counts.true + counts.predicted)


class Auc(Metric):
    """How probably an example of a class gets a higher probability of it than one of another.

    The area under the ROC curve, from the ranks of all test examples, ties counting half; the mean
    over the classes that both sorts of examples exist of. For two classes it is that of class 1.
    The same as scikit-learn's `roc_auc_score(multi_class="ovr")`. Keras' `AUC` is an approximation
    of it, by 200 thresholds.
    """

    tasks: ClassVar[Tasks] = ("classes",)
    gathers: ClassVar[bool] = True

    kind: Literal["auc"] = "auc"

    def parts(self, judged: Judged) -> dict[str, tf.Tensor]:
        return {"predictions": judged.predictions, "labels": judged.labels}

    def value(self, parts: Parts, count: int) -> float:
        scores, labels = parts["predictions"], parts["labels"]
        areas = [area(scores[:, k], labels == k) for k in range(scores.shape[1])]
        areas = [found for found in areas if not np.isnan(found)]
        return float(np.mean(areas)) if areas else float("nan")


def area(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The area under the ROC curve, by the rank sum of Mann and Whitney; NaN where there is none.

    >>> area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    ranks = (ends - (sizes - 1) / 2)[group]
    many, others = int(positive.sum()), int((~positive).sum())
    if not many or not others or not np.isfinite(scores).all():
        return float("nan")
    return float((ranks[positive].sum() - many * (many + 1) / 2) / (many * others))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
