"""What recurrent cells compute at a step, and how much each of its numbers moves the result.

As Keras' `LSTMCell`, `GRUCell` (with the reset after the product) and `SimpleRNNCell` have it, with
the derivatives written out, so that a loop backwards has only the products to make that can't be
made for all steps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import tensorflow as tf


class Cell(Protocol):
    """A step from states to states; the first of them is what the cell gives.

    `inputs` are the inputs' products with the kernel, `products` those of the state before it with
    the recurrent one, both `[n, gates * units]`; a state is `[n, units]`.
    """

    gates: int
    """How many numbers each unit has from its inputs."""
    states: int
    """How many states there are."""
    kept: int
    """How many numbers of each unit a step leaves for the way back."""

    def step(
        self, inputs: tf.Tensor, products: tf.Tensor, states: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The next states, and what is kept, `[n, kept * units]`."""

    def factors(
        self, kept: tf.Tensor, states: Sequence[tf.Tensor], before: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """What the gradients of all steps are multiplied by, from the states and those `before`."""

    def back(
        self, gradients: Sequence[tf.Tensor], factors: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """A step's gradients by its inputs, and by the states before but for `products`."""

    def by_products(self, by_inputs: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
        """The gradients by `products`, from those by the inputs."""


class LstmCell:
    """`c' = f c + i g`, `h' = o tanh(c')`, with `i`, `f`, `g` and `o` from inputs and `h`."""

    gates, states, kept = 4, 2, 4

    def step(
        self, inputs: tf.Tensor, products: tf.Tensor, states: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        import tensorflow as tf

        i, f, g, o = tf.split(inputs + products, 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * states[1] + i * g
        return [o * tf.tanh(c), c], tf.concat([i, f, g, o], axis=1)

    def factors(
        self, kept: tf.Tensor, states: Sequence[tf.Tensor], before: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        import tensorflow as tf

        i, f, g, o = tf.split(kept, 4, axis=1)
        shown = tf.tanh(states[1])
        by_carry = [g * i * (1 - i), before[1] * f * (1 - f), i * (1 - g * g)]
        return tf.concat([*by_carry, shown * o * (1 - o), o * (1 - shown * shown), f], axis=1)

    def back(
        self, gradients: Sequence[tf.Tensor], factors: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        import tensorflow as tf

        by_hidden, by_carry = gradients
        units = factors.shape[1] // 6
        by_carry += by_hidden * factors[:, 4 * units : 5 * units]
        moved = tf.concat([by_carry, by_carry, by_carry, by_hidden], axis=1)
        by_before = [tf.zeros_like(by_hidden), by_carry * factors[:, 5 * units :]]
        return moved * factors[:, : 4 * units], by_before

    def by_products(self, by_inputs: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
        return by_inputs


class GruCell:
    """`h' = z h + (1 - z) tanh(x + r p)`, with `z` and `r` from inputs and `h`, `p` from `h`."""

    gates, states, kept = 3, 1, 4

    def step(
        self, inputs: tf.Tensor, products: tf.Tensor, states: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        import tensorflow as tf

        units = states[0].shape[1]
        both = tf.sigmoid(inputs[:, : 2 * units] + products[:, : 2 * units])
        z, r = tf.split(both, 2, axis=1)
        inner = products[:, 2 * units :]
        new = tf.tanh(inputs[:, 2 * units :] + r * inner)
        return [z * states[0] + (1 - z) * new], tf.concat([both, new, inner], axis=1)

    def factors(
        self, kept: tf.Tensor, states: Sequence[tf.Tensor], before: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        import tensorflow as tf

        z, r, new, inner = tf.split(kept, 4, axis=1)
        by_new = (1 - z) * (1 - new * new)
        by_update = (before[0] - new) * z * (1 - z)
        return tf.concat([by_update, by_new * inner * r * (1 - r), by_new, z, r], axis=1)

    def back(
        self, gradients: Sequence[tf.Tensor], factors: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        import tensorflow as tf

        moved = tf.concat([gradients[0]] * 4, axis=1) * factors[:, : 4 * gradients[0].shape[1]]
        by_inputs, by_before = tf.split(moved, [3 * gradients[0].shape[1], -1], axis=1)
        return by_inputs, [by_before]

    def by_products(self, by_inputs: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        units = factors.shape[1] // 5
        by_inner = by_inputs[:, 2 * units :] * factors[:, 4 * units :]
        return tf.concat([by_inputs[:, : 2 * units], by_inner], axis=1)


class SimpleCell:
    """`h' = tanh(x + p)`, with `p` from `h`."""

    gates, states, kept = 1, 1, 0

    def step(
        self, inputs: tf.Tensor, products: tf.Tensor, states: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        import tensorflow as tf

        hidden = tf.tanh(inputs + products)
        return [hidden], hidden[:, :0]

    def factors(
        self, kept: tf.Tensor, states: Sequence[tf.Tensor], before: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        return 1 - states[0] * states[0]

    def back(
        self, gradients: Sequence[tf.Tensor], factors: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        import tensorflow as tf

        return gradients[0] * factors, [tf.zeros_like(gradients[0])]

    def by_products(self, by_inputs: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
        return by_inputs


CELLS: dict[str, Cell] = {"lstm": LstmCell(), "gru": GruCell(), "simple": SimpleCell()}
