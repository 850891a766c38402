"""Arithmetic in fewer bits, and the scale by which float16 keeps small gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

FIRST = 2.0**15
LOWEST = 1.0
HIGHEST = 2.0**24
"""The smallest number above 0 in float16 is 2**-24."""
PATIENCE = 2000
"""Updates in a row that need no lower scale, after which a higher one is tried."""


@contextmanager
def dtype_policy(precision: str) -> Iterator[None]:
    """Within the block layers are made that compute as `run.precision` says.

    Their weights are float32 all the same.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class Scaling:
    """A power of two by which the loss is multiplied, and the gradients divided again.

    Without it, most of what a gradient passes on in float16 would be rounded to 0. Where the scale
    is too high, something is infinite, and the same update is tried anew at half of it, until all
    is finite: so every update is made, with the values that its row of the tape has. Where even 1
    is too high the scale is not to blame, is left as it was, and `run.on_nonfinite` decides. It
    starts at 2**15 and doubles after 2,000 updates in a row that needed no halving.

    The numbers are those of Keras' `LossScaleOptimizer` and torch's `GradScaler`, which leave out
    an update whose scale was too high, though their schedules go on.
    """

    def __init__(self) -> None:
        self.scale = tf.Variable(FIRST, trainable=False)
        self.fitting = tf.Variable(0, trainable=False)
        """Updates in a row that the scale has suited."""

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """What a checkpoint has to hold, by name."""
        return {"scale": self.scale, "fitting": self.fitting}

    def tried(
        self,
        differentiated: Callable[[tf.Tensor], Sequence[tf.Tensor]],
        finite: Callable[[tf.Tensor, Sequence[tf.Tensor]], tf.Tensor],
        shapes: Sequence[tf.TensorShape],
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The loss and its gradients, all of these `shapes`, and whether all are finite.

        `differentiated(scale)` returns the loss as it is and the gradients of its `scale`-fold, and
        first undoes what its last call changed. `finite` judges loss and gradients.
        """

        def goes_on(scale: tf.Tensor, sound: tf.Tensor, lower: tf.Tensor, _: object) -> tf.Tensor:
            return ~sound & lower

        def attempt(
            scale: tf.Tensor, _: tf.Tensor, lower: tf.Tensor, _losses: object
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
            loss, *gradients = map(tf.convert_to_tensor, differentiated(scale))
            gradients = [gradient / scale for gradient in gradients]
            sound = finite(loss, gradients)
            lower = tf.math.is_finite(tf.reshape(loss, [-1])[0]) & (scale > LOWEST)
            scale = tf.where(sound | ~lower, scale, scale / 2)
            return scale, sound, lower, [loss, *gradients]

        first = self.scale.value()
        start = first, False, True, [tf.zeros(shape) for shape in shapes]
        scale, sound, _, loss_and_gradients = tf.while_loop(goes_on, attempt, start)
        self._adapt(first, scale, sound)
        return loss_and_gradients, sound

    def _adapt(self, first: tf.Tensor, scale: tf.Tensor, sound: tf.Tensor) -> None:
        """Sets the scale of the next update, by the first and the last scale of this one."""
        fitting = tf.where(scale < first, 0, self.fitting + 1)
        grows = fitting == PATIENCE
        scale = tf.where(grows, tf.minimum(2 * scale, HIGHEST), scale)
        self.scale.assign(tf.where(sound, scale, first))
        self.fitting.assign(tf.where(sound, tf.where(grows, 0, fitting), self.fitting))
