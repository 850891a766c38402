"""A metric of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from schedules.declaration import refuse
from schedules.declaration.functions import CODE_ERRORS, CallsFunction, raised

from ..data import Facts
from .metric import EvaluationBatch, Mean

if TYPE_CHECKING:
    import tensorflow as tf


class Python(CallsFunction, Mean):
    """The mean of what the function `call` returns for predictions, labels and `kwargs`.

    Predictions are probabilities of the classes, `[n, classes]`, or numbers, `[n, targets]`;
    labels are as the data has them. The function is TensorFlow (or `keras.ops`) code, and returns a
    number for each example.
    """

    kind: Literal["python"] = "python"

    def check(self, facts: Facts, *, marks: bool = False) -> None:
        _ = self.function  # imports it

    def parts(self, batch: EvaluationBatch) -> dict[str, tf.Tensor]:
        return super().parts(batch.examples or batch)

    def per_example(self, batch: EvaluationBatch) -> tf.Tensor:
        import tensorflow as tf

        predictions, labels = batch.predictions, batch.labels
        try:
            values = tf.convert_to_tensor(self.function(predictions, labels, **self.kwargs))
        except CODE_ERRORS as error:  # whatever the user's function raises
            rule = raised(error)
            shapes = f"{predictions.shape} predictions and {labels.shape} labels"
            raise refuse("call", self.call, rule, f"it was given {shapes}") from None
        if values.shape.rank != 1:
            rule = f"returned {values.dtype.name} of shape {values.shape}"
            raise refuse("call", self.call, rule, "return one number for each example")
        return tf.cast(values, tf.float32)
