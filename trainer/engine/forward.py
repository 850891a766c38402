"""A network called with the inputs of a batch as its data names them, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..data import Facts
from ..data.facts import Feature
from ..data.trees import Tree, map_tree
from ..losses.loss import Loss, Outputs
from ..scheduled.keras_internals import mask_of, structure


class Named(NamedTuple):
    """A symbolic input or output of a model, or what stands for it."""

    name: str
    tensor: Any


class Forward:
    """Calls a network, its inputs and outputs by the names that the data has for them.

    A network with one input takes the only array of the data. One with several takes each by its
    name: the key of a dict, or the name of its `keras.Input`; arrays without names, by their order.
    A network that was not built from symbolic inputs gets the arrays as the data has them. Outputs
    are named likewise, by the labels.
    """

    def __init__(self, model: keras.Model, facts: Facts, loss: Loss) -> None:
        self.model = model
        self._facts = facts
        self._loss = loss
        self._inputs = structure(model, "inputs")
        self._outputs = structure(model, "outputs")

    def __call__(self, inputs: Tree[tf.Tensor], *, training: bool) -> Outputs:
        """The outputs for each label in float32, and the masks that layers have put on them."""
        outputs = self.by_label(self.raw(inputs, training=training))
        masks = map_tree(mask_of, outputs)
        floats = map_tree(lambda x: tf.cast(x, tf.float32), outputs)
        return Outputs(self._loss.suited(floats, self._facts), masks)

    def raw(self, inputs: Tree[tf.Tensor], *, training: bool) -> Any:
        """What the model itself returns."""
        return self.model(self.arranged(inputs), training=training)

    def arranged(self, inputs: Tree[tf.Tensor]) -> Any:
        """The inputs as the model takes them."""
        if not isinstance(inputs, Mapping):
            if isinstance(self._inputs, Mapping):
                [key] = self._inputs
                return {key: inputs}
            return inputs
        if self._inputs is None:
            return list(inputs.values()) if by_order(inputs) else dict(inputs)
        symbolic = named(self._inputs)
        order = list(inputs) if by_order(inputs) else [one.name for one in symbolic]
        if not isinstance(self._inputs, Mapping) and len(order) == 1 and len(inputs) == 1:
            order = list(inputs)
        tensors = [_as_taken(inputs[n], s.tensor) for n, s in zip(order, symbolic, strict=True)]
        if isinstance(self._inputs, Mapping):
            return {one.name: tensor for one, tensor in zip(symbolic, tensors, strict=True)}
        return tensors[0] if isinstance(self._inputs, keras.KerasTensor) else tensors

    def by_label(self, given: Any) -> Tree[tf.Tensor]:
        """What the model returned, as the labels are named."""
        labels = self._facts.labels
        if not isinstance(labels, Mapping):
            [output] = tf.nest.flatten(given)
            return output
        if isinstance(given, Mapping):
            return {name: given[name] for name in labels}
        flat = tf.nest.flatten(given)
        names = [one.name for one in named(self._outputs, self.output_names)]
        if by_order(labels) or sorted(names) != sorted(labels):
            names = list(labels)
        by_name = dict(zip(names, flat, strict=True))
        return {name: by_name[name] for name in labels}

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that a functional model ends in."""
        return list(getattr(self.model, "output_names", []))

    def penalties(self) -> list[tf.Tensor]:
        """What layers have added to the loss: of weights, and of the last call."""
        return [tf.cast(penalty, tf.float32) for penalty in self.model.losses]


def called_with_zeros(model: keras.Model, facts: Facts, count: int) -> Any:
    """What a model returns for so many examples of zeros, or of empty text."""

    def zeros(feature: Feature) -> tf.Tensor:
        shape = [count, *feature.shape]
        return tf.fill(shape, "") if feature.dtype == "string" else tf.zeros(shape, feature.dtype)

    inputs = map_tree(zeros, facts.inputs)
    if isinstance(inputs, Mapping) and by_order(inputs):
        inputs = list(inputs.values())
    return model(inputs, training=False)


def drawn_inputs(model: keras.Model, count: int) -> Tree[tf.Tensor] | None:
    """Made-up inputs of a network, by its own names: normal numbers, the id 0, or empty text.

    None where it does not know what it takes before it is called.
    """
    symbolic = structure(model, "inputs")
    if symbolic is None:
        return None

    def drawn(tensor: Any) -> tf.Tensor:
        shape = [count, *(size or 1 for size in tensor.shape[1:])]
        if tensor.dtype == "string":
            return tf.fill(shape, "")
        normal = tf.random.stateless_normal(shape, seed=(0, 0))
        return normal if "float" in tensor.dtype else tf.zeros(shape, tensor.dtype)

    if isinstance(symbolic, keras.KerasTensor):
        return drawn(symbolic)
    return {one.name: drawn(one.tensor) for one in named(symbolic)}


def by_order(tree: Mapping[str, Any]) -> bool:
    """Whether arrays came without names, and are numbered."""
    return list(tree) == [str(i) for i in range(len(tree))]


def named(symbolic: Any, names: Sequence[str] = ()) -> list[Named]:
    """The symbolic inputs or outputs of a model with their names, in the model's order.

    A dict's keys are the names; else they are `names`, or those of the tensors themselves.
    """
    if isinstance(symbolic, Mapping):
        return [Named(key, tensor) for key, tensor in symbolic.items()]
    tensors = tf.nest.flatten(symbolic) if symbolic is not None else []
    if len(names) != len(tensors):
        eager = any(tf.is_tensor(tensor) for tensor in tensors)
        names = [str(i) if eager else tensor.name for i, tensor in enumerate(tensors)]
    return [Named(name, tensor) for name, tensor in zip(names, tensors, strict=True)]


def _as_taken(tensor: tf.Tensor, symbolic: Any) -> tf.Tensor:
    """An input in the type, and with the axes, that a model takes it with."""
    if symbolic.dtype not in ("string", keras.backend.standardize_dtype(tensor.dtype)):
        tensor = keras.ops.cast(tensor, symbolic.dtype)
    if len(symbolic.shape) == len(tensor.shape) - 1 and tensor.shape[-1] == 1:
        tensor = keras.ops.squeeze(tensor, -1)
    return tensor
