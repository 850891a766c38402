"""A running mean of the weights, for evaluations and exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from schedules.declaration import Declaration

from ..scheduled.fields import Bounds, Value

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..scheduled.dials import Dials


class Ema(Declaration):
    """The exponential moving average `a = momentum * a + (1 - momentum) * w`, after each update.

    The average starts at the first weights, as with Keras' `use_ema`, and has no bias to correct.
    Early on it lags behind; a `momentum` that rises from 0 avoids that. Evaluations use averages
    instead of weights; training never does. Weights that aren't trained, such as the statistics of
    a batch normalization, have no average and are used as they are.
    """

    momentum: Annotated[Value, Bounds(ge=0, lt=1)]
    """The share of the average that stays at each update: 0.999 covers about 1,000 updates."""


class Average:
    """The averages of some weights, in variables, which checkpoints hold."""

    def __init__(self, ema: Ema, weights: Sequence[keras.Variable], dials: Dials) -> None:
        import keras

        self._momentum = dials.live("ema_momentum", ema.momentum)
        self._weights = tuple(weights)
        # From a variable instead of `numpy()`, Keras would make no copy.
        starts = {w.path: keras.ops.convert_to_tensor(w.numpy()) for w in weights}
        self.variables = {
            path: keras.Variable(start, trainable=False, name="average")
            for path, start in starts.items()
        }

    def update(
        self,
        weights: Sequence[keras.Variable] | None = None,
        rows: Mapping[str, tf.Tensor] = MappingProxyType({}),
    ) -> None:
        """Updates the averages of some weights, or all, within `dials.showing(row)`.

        The average of a weight that has not moved yet is that weight. Of the weights whose paths
        are in `rows`, only these rows are averaged.
        """
        import tensorflow as tf

        momentum = self._momentum
        for w in self._weights if weights is None else weights:
            a = self.variables[w.path]
            if (ids := rows.get(w.path)) is not None:
                before, now = tf.gather(a.value, ids), tf.gather(w.value, ids)
                mean = momentum * before + (1 - momentum) * now
                a.value.scatter_update(tf.IndexedSlices(mean, ids))
                continue
            a.assign(momentum * a.value + (1 - momentum) * w.value)

    def values(self) -> list[tf.Tensor]:
        """The averages, in the order of the weights."""
        return [variable.value for variable in self.variables.values()]
