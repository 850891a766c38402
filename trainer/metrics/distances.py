"""Metrics of labels that are numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from .metric import Direction, EvaluationBatch, Mean, Metric, Parts, Tasks

if TYPE_CHECKING:
    import tensorflow as tf


class Squared(Mean):
    """A metric of the mean of `(y - f)**2` over the examples and the numbers of a label."""

    tasks: ClassVar[Tasks] = ("numbers",)

    def per_example(self, batch: EvaluationBatch) -> tf.Tensor:
        import tensorflow as tf

        squares = tf.math.squared_difference(batch.labels, batch.predictions)
        return tf.reduce_mean(squares, axis=-1)


class MeanSquaredError(Squared):
    """The mean of `(y - f)**2` over the examples and the numbers of a label."""

    kind: Literal["mean_squared_error"] = "mean_squared_error"
    better: ClassVar[Direction | None] = "min"


class RootMeanSquaredError(Squared):
    """The square root of the mean squared error, in the unit of the labels."""

    kind: Literal["root_mean_squared_error"] = "root_mean_squared_error"
    better: ClassVar[Direction | None] = "min"

    def value(self, parts: Parts, count: int) -> float:
        return float(np.sqrt(super().value(parts, count)))


class MeanAbsoluteError(Mean):
    """The mean of `|y - f|` over the examples and the numbers of a label."""

    tasks: ClassVar[Tasks] = ("numbers",)

    kind: Literal["mean_absolute_error"] = "mean_absolute_error"
    better: ClassVar[Direction | None] = "min"

    def per_example(self, batch: EvaluationBatch) -> tf.Tensor:
        import tensorflow as tf

        return tf.reduce_mean(tf.abs(batch.labels - batch.predictions), axis=-1)


class MeanAbsolutePercentageError(Mean):
    """The mean of `100 * |y - f| / |y|`; infinite where a label is 0."""

    tasks: ClassVar[Tasks] = ("numbers",)

    kind: Literal["mean_absolute_percentage_error"] = "mean_absolute_percentage_error"
    better: ClassVar[Direction | None] = "min"

    def per_example(self, batch: EvaluationBatch) -> tf.Tensor:
        import tensorflow as tf

        share = tf.abs((batch.labels - batch.predictions) / batch.labels)
        return 100 * tf.reduce_mean(share, axis=-1)


class R2(Metric):
    """`1 - sum((y - f)**2) / sum((y - mean(y))**2)`, the mean over the numbers of a label.

    1 is perfect, 0 is as good as the mean of the test labels. The same as scikit-learn's
    `r2_score`; NaN where a label never changes.
    """

    tasks: ClassVar[Tasks] = ("numbers",)

    kind: Literal["r2"] = "r2"
    better: ClassVar[Direction | None] = "max"

    def parts(self, batch: EvaluationBatch) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        y, f = (tf.cast(x, tf.float64) for x in (batch.labels, batch.predictions))
        summands = {"y": y, "squares": y**2, "missed": (y - f) ** 2}
        sums = {n: tf.reduce_sum(batch.weighted(x), axis=0) for n, x in summands.items()}
        return {**sums, "weight": batch.weight(y)}

    def value(self, parts: Parts, count: int) -> float:
        total = parts["squares"] - parts["y"] ** 2 / parts["weight"]
        # For a label that never changes the difference is nothing but rounding.
        total = np.where(total > 1e-12 * parts["squares"], total, np.nan)
        return float(np.mean(1 - parts["missed"] / total))
