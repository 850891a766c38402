"""A metric of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from schedules.declaration import refuse
from schedules.declaration.functions import Called

from ..data import Facts
from .metric import Judged, Mean

if TYPE_CHECKING:
    import tensorflow as tf


class Python(Called, Mean):
    """The mean of what the function `call` gives for predictions, labels and `kwargs`.

    Predictions are probabilities of the classes, `[n, classes]`, or numbers, `[n, targets]`;
    labels are as the data has them. It is TensorFlow (or `keras.ops`) code, and gives a number for
    each example.
    """

    kind: Literal["python"] = "python"

    def check(self, facts: Facts) -> None:
        _ = self.function  # imports it

    def of(self, judged: Judged) -> tf.Tensor:
        import tensorflow as tf

        try:
            told = self.function(judged.predictions, judged.labels, **self.kwargs)
            each = tf.convert_to_tensor(told)
        except Exception as error:  # whatever the user's function raises
            rule = f"raised {type(error).__name__}: {error}"
            shapes = f"{judged.predictions.shape} predictions and {judged.labels.shape} labels"
            raise refuse("call", self.call, rule, f"it was given {shapes}") from None
        if each.shape.rank != 1:
            rule = f"returned {each.dtype.name} of shape {each.shape}"
            raise refuse("call", self.call, rule, "return one number for each example")
        return tf.cast(each, tf.float32)
