"""A network that a user's function builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from schedules.declaration import Refused, refuse, within
from schedules.declaration.functions import CODE_ERRORS, CallsFunction, raised

from .model import Model
from .variable_paths import rename

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Python(CallsFunction, Model):
    """The network that the function `call` returns for a shape, a number of outputs and `kwargs`.

    `function(shape, outputs, **kwargs)` returns a `keras.Model`, from inputs `[n, *shape]` in
    float32 to `[n, outputs]`: a logit for each class, or as many numbers as a label has.
    Weights are drawn from Keras' global seed, and layers may be left without names.
    """

    kind: Literal["python"] = "python"

    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        import keras
        import tensorflow as tf

        with within("model"):
            function = self.function
            try:
                model = function(shape, outputs, **self.kwargs)
            except Refused:
                raise
            except CODE_ERRORS as error:  # whatever the user's function raises
                rule = raised(error)
                hint = f"it was given shape {shape} and {outputs} outputs"
                raise refuse("call", self.call, rule, hint) from None
            if not isinstance(model, keras.Model):
                rule = f"returned {type(model).__name__}, and must return a keras.Model"
                raise refuse("call", self.call, rule, "return keras.Sequential([...])")
            if not model.built:
                try:
                    model(tf.zeros([2, *shape]), training=False)
                except CODE_ERRORS as error:  # whatever the user's layers raise
                    rule = f"can't take inputs of shape {list(shape)}: {error}"
                    raise refuse("call", self.call, rule) from None
        rename(model)
        return model
