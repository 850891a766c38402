"""A network that a user's function builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import Refused, refuse, within
from schedules.declaration.functions import CODE_ERRORS, CallsFunction, raised

from ..data import Facts
from ..data.facts import Feature
from ..data.trees import leaves, map_tree
from .model import Model
from .variable_paths import rename

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Python(CallsFunction, Model):
    """The network that the function `call` returns for a shape, a number of outputs and `kwargs`.

    `function(shape, outputs, **kwargs)` returns a `keras.Model`, from inputs `[n, *shape]` in
    float32 to `[n, outputs]`: a logit for each class, or as many numbers as a label has. Of data
    with several inputs, or several labels, either is a dict by name: `shape["age"]`,
    `outputs["price"]`; and the network has inputs and outputs of these names. Where a label has a
    class, or a number, at each place, `outputs` is the whole shape. Weights are drawn from Keras'
    global seed, and layers may be left without names.
    """

    kind: Literal["python"] = "python"

    def check(self, facts: Facts) -> None:
        """Whatever the data has, a function may build a network for it."""

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras
        import tensorflow as tf

        shape: Any = map_tree(lambda feature: feature.shape, facts.inputs)
        outputs: Any = map_tree(_size, facts.labels)
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
                zeros = map_tree(lambda one: tf.zeros([2, *one.shape], one.dtype), facts.inputs)
                try:
                    model(zeros, training=False)
                except CODE_ERRORS as error:  # whatever the user's layers raise
                    listed = " and ".join(str(list(one.shape)) for one in leaves(facts.inputs))
                    rule = f"can't take inputs of shape {listed}: {error}"
                    hint = "call it once in the function, with a batch as it will get them"
                    raise refuse("call", self.call, rule, hint) from None
        rename(model)
        return model


def _size(label: Feature) -> int | tuple[int, ...]:
    """How many outputs a label wants, or their shape where they are more than a row."""
    return label.outputs[0] if len(label.outputs) == 1 else label.outputs
