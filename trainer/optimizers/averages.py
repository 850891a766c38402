"""A running mean of the weights, for evaluations and for what a run leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from schedules.declaration import Declaration

from ..scheduled.fields import Bounds, Value

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..scheduled.dials import Dials


class Ema(Declaration):
    """The exponential moving average `a = momentum * a + (1 - momentum) * w`, after each update.

    It starts at the first weights, as Keras' `use_ema` does, and so has no bias to correct; early
    on it lags behind, which a `momentum` that rises from 0 avoids. Evaluations use the averages in
    place of the weights, and training never does. Weights that aren't trained, such as the
    statistics of a batch normalization, are used as they are.
    """

    momentum: Annotated[Value, Bounds(ge=0, lt=1)]
    """What share of the average stays at each update: 0.999 looks back about 1,000 of them."""


class Average:
    """The averages of some weights. They are variables, so that a checkpoint can hold them."""

    def __init__(self, declared: Ema, weights: Sequence[keras.Variable], dials: Dials) -> None:
        import keras

        self._momentum = dials.live("ema_momentum", declared.momentum)
        self._weights = tuple(weights)
        # Of a variable, Keras would make no copy.
        starts = {w.path: keras.ops.convert_to_tensor(w.numpy()) for w in weights}
        self.variables = {
            path: keras.Variable(start, trainable=False, name="average")
            for path, start in starts.items()
        }

    def follow(self) -> None:
        """Takes the weights as they are now into the averages, within `dials.showing(row)`."""
        momentum = self._momentum
        for w, a in zip(self._weights, self.variables.values(), strict=True):
            a.assign(momentum * a.value + (1 - momentum) * w.value)

    def values(self) -> list[tf.Tensor]:
        """The averages, in the order of the weights."""
        return [variable.value for variable in self.variables.values()]
