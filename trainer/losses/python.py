"""A loss of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from schedules.declaration import refuse
from schedules.declaration.functions import CODE_ERRORS, CallsFunction, raised

from ..data import Facts
from .loss import Loss

if TYPE_CHECKING:
    import tensorflow as tf

    from ..scheduled.dials import Dials


class Python(CallsFunction, Loss):
    """What the function `call` returns for outputs, labels and `kwargs`: a number for each example.

    The function gets outputs `[n, outputs]` in float32, and labels as the data has them: `[n]` in
    int32, or `[n, targets]` in float32. It is TensorFlow (or `keras.ops`) code, traced once. The
    number of an example must depend on that example alone.
    """

    kind: Literal["python"] = "python"

    def for_data(self, facts: Facts) -> Loss:
        _ = self.function  # imports it
        return self

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        return self.evaluation(outputs, labels)

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        try:
            losses = tf.convert_to_tensor(self.function(outputs, labels, **self.kwargs))
        except CODE_ERRORS as error:  # whatever the user's function raises
            rule = raised(error)
            hint = f"it was given {outputs.shape} outputs and {labels.shape} labels"
            raise refuse("call", self.call, rule, hint) from None
        if losses.shape.rank != 1 or not losses.dtype.is_floating:
            rule = (
                f"returned {losses.dtype.name} of shape {losses.shape} for {outputs.shape} outputs"
            )
            hint = "return one float for each example, before any mean"
            raise refuse("call", self.call, rule, hint)
        return tf.cast(losses, tf.float32)
