"""Losses for labels that are numbers: how far from them the outputs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from schedules import Schedule
from schedules.declaration import Float32, refuse

from ..data import Facts
from ..scheduled.fields import Bounds, Value
from .loss import Loss, Tasks

if TYPE_CHECKING:
    import tensorflow as tf

    from ..scheduled.dials import Dials


class Distance(Loss):
    """A loss for each number of a label, of which the mean over the label is taken."""

    tasks: ClassVar[Tasks] = ("numbers",)

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        return self.evaluation(outputs, labels)

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.reduce_mean(self.per_number(outputs, labels), axis=-1)

    def per_number(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The loss of each output, of the shape of the labels."""
        raise NotImplementedError


class MeanSquaredError(Distance):
    """`(y - f)**2`, whose best answer is the mean."""

    kind: Literal["mean_squared_error"] = "mean_squared_error"

    def per_number(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.math.squared_difference(labels, outputs)


class MeanAbsoluteError(Distance):
    """`|y - f|`, whose best answer is the median; outliers count little."""

    kind: Literal["mean_absolute_error"] = "mean_absolute_error"

    def per_number(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.abs(labels - outputs)


class Huber(Distance):
    """`x**2 / 2` for `x = |y - f|` up to delta, `delta * (x - delta / 2)` beyond.

    Source: Huber 1964; the same as Keras' `Huber(delta)`. (torch's `SmoothL1Loss(beta)` is this
    divided by beta.) Evaluations have the delta that is declared, and 1 where it is
    scheduled: all evaluations of a run can be compared.
    """

    kind: Literal["huber"] = "huber"
    delta: Annotated[Value, Bounds(gt=0)] = 1.0
    """The error from which on an example is an outlier."""

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        return self._mean_huber(dials.live("delta", self.delta), outputs, labels)

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        delta = 1.0 if isinstance(self.delta, Schedule) else self.delta
        return self._mean_huber(delta, outputs, labels)

    def _mean_huber(self, delta: Any, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        x = tf.abs(labels - outputs)
        delta = tf.convert_to_tensor(delta, x.dtype)
        clipped = tf.minimum(x, delta)
        return tf.reduce_mean(clipped * (x - clipped / 2), axis=-1)


class LogCosh(Distance):
    """`log(cosh(y - f))`: about `x**2 / 2` near 0 and `|x| - log 2` far off, smooth throughout."""

    kind: Literal["log_cosh"] = "log_cosh"

    def per_number(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        x = outputs - labels
        return x + tf.math.softplus(-2.0 * x) - tf.math.log(2.0)


class Poisson(Distance):
    """`exp(f) - y * f`, for counts: outputs are logarithms of rates, and `exp(f)` is predicted.

    The same as torch's `PoissonNLLLoss`. Differs from Keras' `Poisson`, whose network gives the
    rate itself, and must keep it above 0.
    """

    kind: Literal["poisson"] = "poisson"

    def for_labels(self, labels: Any, facts: Facts) -> Loss:
        labels = np.asarray(labels)  # they may be on the disk
        if (labels < 0).any():
            rule = f"is for counts, and there is {labels.min():g} among the labels"
            raise refuse("kind", self.kind, rule, "loss=mean_squared_error")
        return self

    def per_number(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.exp(outputs) - labels * outputs

    def predictions(self, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.exp(outputs)


class Quantile(Distance):
    """`max(q * x, (q - 1) * x)` for `x = y - f`: the best answer is the quantile q of the labels.

    Source: Koenker and Bassett 1978; scikit-learn's `mean_pinball_loss`. At 0.5 it is half the
    absolute error.
    """

    kind: Literal["quantile"] = "quantile"
    quantile: Annotated[Float32, Field(gt=0, lt=1)] = 0.5
    """q, the share of labels that should lie below the output."""

    def per_number(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        x = labels - outputs
        return tf.maximum(self.quantile * x, (self.quantile - 1) * x)
