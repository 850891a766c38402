"""Update rules that Keras lacks or gets wrong, as optimizers of Keras."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ..scheduled.keras_internals import variable_index


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
        a = self.accumulators[variable_index(self, variable)]
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


class Adafactor(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras is untyped
    """Adam without a first moment, whose second is kept as the means of its rows and columns.

    Source: Shazeer and Stern 2018, arXiv 1804.04235. Keras' namesake lowers a learning rate above
    `1 / sqrt(t)` to that, in silence. It stores the second moment in full besides, and multiplies
    its factors before it takes their root: where neither a row nor a column of a matrix has a
    gradient, the product underflows there and the weight becomes 0 / 0.
    """

    def __init__(
        self,
        *,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        scale_parameter: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.scale_parameter = scale_parameter

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.rows, self.columns, self.squares = [], [], []
        for w in variables:
            factored = len(w.shape) >= 2
            shapes = [w.shape[:-1], (*w.shape[:-2], w.shape[-1])] if factored else [w.shape]
            slots = [self.add_variable(shape, dtype=w.dtype) for shape in shapes]
            row, column, square = (*slots, None) if factored else (None, None, *slots)
            self.rows.append(row)
            self.columns.append(column)
            self.squares.append(square)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        index = variable_index(self, variable)
        row, column = self.rows[index], self.columns[index]
        dense = tf.convert_to_tensor(gradient)  # an embedding's comes in slices
        t, lr, g = (
            ops.cast(x, variable.dtype) for x in (self.iterations + 1, learning_rate, dense)
        )
        beta_2 = 1 - ops.power(t, self.beta_2_decay)
        square = ops.square(g) + self.epsilon_1

        def running(mean: keras.Variable, now: tf.Tensor) -> keras.Variable:
            self.assign(mean, beta_2 * mean + (1 - beta_2) * now)
            return mean

        if row is None:
            d = g * ops.rsqrt(running(self.squares[index], square))
        else:
            r = running(row, ops.mean(square, axis=-1))
            c = running(column, ops.mean(square, axis=-2))
            r = ops.rsqrt(r) * ops.sqrt(ops.mean(r, axis=-1, keepdims=True))
            d = g * ops.expand_dims(r, -1) * ops.expand_dims(ops.rsqrt(c), -2)
        d = d / ops.maximum(1.0, _rms(d) / self.clip_threshold)
        scale = ops.maximum(self.epsilon_2, _rms(variable)) if self.scale_parameter else 1
        self.assign_sub(variable, scale * lr * d)


class ScheduleFreeAdamW(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras is untyped
    """Adam without a first moment, its gradients taken between its iterates z and their average x.

    The weights are `w = (1 - beta_1) * z + beta_1 * x`, from which x is had back, as nothing else
    holds it. Source: Defazio et al. 2024, arXiv 2405.15682. Keras' namesake takes z for the one
    before its step when it has already made it, and leaves a model at w, where x is what is learnt.
    """

    def __init__(
        self, *, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.iterates, self.velocities = self.add_optimizer_variables(
            variables, ["iterate", "velocity"]
        )
        for z, w in zip(self.iterates, variables, strict=True):
            z.assign(w)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        index = variable_index(self, variable)
        z, v = self.iterates[index], self.velocities[index]
        t, lr, g, beta_1, beta_2, epsilon = (
            ops.cast(x, variable.dtype)
            for x in (
                self.iterations + 1,
                learning_rate,
                tf.convert_to_tensor(gradient),
                self.beta_1,
                self.beta_2,
                self.epsilon,
            )
        )
        x = self.average_of(variable)
        self.assign(v, beta_2 * v + (1 - beta_2) * ops.square(g))
        self.assign_sub(z, lr * g / (ops.sqrt(v / (1 - ops.power(beta_2, t))) + epsilon))
        x = x + (z - x) / t
        self.assign(variable, (1 - beta_1) * z + beta_1 * x)

    def average_of(self, variable: Any) -> tf.Tensor:
        """The average x of a weight."""
        z = self.iterates[variable_index(self, variable)]
        beta_1 = ops.cast(self.beta_1, variable.dtype)
        return (variable - (1 - beta_1) * z) / beta_1


def _rms(x: Any) -> tf.Tensor:
    return ops.sqrt(ops.mean(ops.square(x)))
