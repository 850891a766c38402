"""Update rules that Keras lacks, as optimizers of Keras."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops


class Momentum(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras is untyped
    """Momentum that accumulates gradients: `a = momentum * a + g`, then `w = w - lr * a`.

    Source: `tf.compat.v1.train.MomentumOptimizer`; torch's `SGD(momentum, dampening=0)` is the
    same. Keras' `SGD(momentum)` accumulates `lr * g` instead, so that a lower learning rate takes
    effect there only once the old velocity has died away, and here at once.
    """

    def __init__(self, *, momentum: float = 0.0, **settings: Any) -> None:
        super().__init__(**settings)
        self.momentum = momentum

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.accumulators = self.add_optimizer_variables(variables, "accumulator")

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        a = self.accumulators[self._get_variable_index(variable)]
        lr, g, momentum = (
            ops.cast(x, variable.dtype) for x in (learning_rate, gradient, self.momentum)
        )
        self.assign(a, momentum * a + g)
        self.assign_sub(variable, lr * self.direction(a, g, momentum))

    def direction(self, a: keras.Variable, g: tf.Tensor, momentum: tf.Tensor) -> tf.Tensor:
        """What the learning rate scales."""
        return a


class Nesterov(Momentum):
    """Momentum that looks ahead: `a = momentum * a + g`, then `w = w - lr * (g + momentum * a)`.

    Source: `tf.compat.v1.train.MomentumOptimizer(use_nesterov=True)`; torch's
    `SGD(momentum, nesterov=True)` is the same. It differs from Keras' as `Momentum` does.
    """

    def direction(self, a: keras.Variable, g: tf.Tensor, momentum: tf.Tensor) -> tf.Tensor:
        return g + momentum * a
