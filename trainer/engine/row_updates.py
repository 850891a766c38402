"""Updates of tables that touch only the rows which a batch looks up.

The rows of a weight and of its slots are gathered, the optimizer's own rule is traced with them in
the place of the variables, and what it assigns is scattered back. So no rule is written a second
time, and what an update costs hangs on the ids of a batch and not on the size of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from ..scheduled.keras_internals import (
    all_layers,
    call_is_replaced,
    calling,
    held_variables,
    substituted,
)


def apply_by_rows(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor | tf.IndexedSlices],
    weights: Sequence[keras.Variable],
) -> None:
    """What `optimizer.apply` does, with rows in the place of weights whose gradients are slices.

    Each id stands once in the slices. Clipping sees all of a gradient, as the other rows of it are
    0; weight decay, and the decay of running means, reach the rows of the slices alone.
    """
    touched: list[Rows] = []

    def of(variable: keras.Variable, ids: tf.Tensor) -> Rows:
        touched.append(Rows(variable, ids))
        return touched[-1]

    slices = {
        id(weight): gradient
        for weight, gradient in zip(weights, gradients, strict=True)
        if isinstance(gradient, tf.IndexedSlices)
    }
    rows = {id(w): of(w, slices[id(w)].indices) for w in weights if id(w) in slices}
    slots = {
        id(slot): of(slot, slices[id(weight)].indices)
        for _, weight, slot in held_variables(optimizer)
        if weight is not None and id(weight) in slices
    }
    values = [
        gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        for gradient in gradients
    ]
    twin = substituted(optimizer, {**rows, **slots})
    twin.apply(values, [rows.get(id(weight), weight) for weight in weights])
    for each in touched:
        each.scatter()


class Rows:
    """Some rows of a variable, in its place while an optimizer's rule is traced.

    It has what Keras' rules ask of a variable: arithmetic, `assign` and its kin, a shape and a
    type. Rows are read when they are first used, and written by `scatter`.
    """

    constraint = None
    overwrite_with_gradient = False

    def __init__(self, variable: keras.Variable, ids: tf.Tensor) -> None:
        self._variable = variable
        self._ids = ids
        self._rows: tf.Tensor | None = None
        self._is_assigned = False
        self.dtype = variable.dtype
        self.path, self.name = variable.path, variable.name

    @property
    def value(self) -> tf.Tensor:
        """The rows, as they are or as they were last assigned."""
        if self._rows is None:
            # Of a variable's handle: a read of all of it would copy all of it.
            self._rows = tf.gather(self._variable.value, self._ids)
        return self._rows

    @property
    def shape(self) -> tf.TensorShape:
        return self.value.shape

    def assign(self, value: Any) -> None:
        self._rows = tf.convert_to_tensor(value, self.dtype)
        self._is_assigned = True

    def assign_add(self, value: Any) -> None:
        self.assign(self.value + value)

    def assign_sub(self, value: Any) -> None:
        self.assign(self.value - value)

    def scatter(self) -> None:
        """Writes the rows back, where something was assigned."""
        if self._is_assigned:
            self._variable.value.scatter_update(tf.IndexedSlices(self.value, self._ids))

    def __tf_tensor__(self, dtype: tf.DType | None = None, name: str | None = None) -> tf.Tensor:
        return self.value if dtype is None else tf.cast(self.value, dtype, name=name)

    def __add__(self, other: Any) -> tf.Tensor:
        return self.value + other

    def __radd__(self, other: Any) -> tf.Tensor:
        return other + self.value

    def __sub__(self, other: Any) -> tf.Tensor:
        return self.value - other

    def __rsub__(self, other: Any) -> tf.Tensor:
        return other - self.value

    def __mul__(self, other: Any) -> tf.Tensor:
        return self.value * other

    def __rmul__(self, other: Any) -> tf.Tensor:
        return other * self.value

    def __truediv__(self, other: Any) -> tf.Tensor:
        return self.value / other

    def __rtruediv__(self, other: Any) -> tf.Tensor:
        return other / self.value


def looking_up(model: keras.Model) -> AbstractContextManager[None]:
    """Within it embeddings read the rows that they look up, and not their tables.

    Keras' `Embedding` reads its table and takes rows of what it has read. That costs nothing until
    rows of the variable are written: from then on TensorFlow copies it at every read.
    """
    plain = [
        layer
        for layer in all_layers(model)
        if type(layer) is keras.layers.Embedding
        and not (layer.lora_enabled or layer.quantization_mode or call_is_replaced(layer))
    ]
    return calling({layer: partial(_looked_up, layer) for layer in plain})


def _looked_up(layer: keras.layers.Embedding, inputs: tf.Tensor) -> tf.Tensor:
    ids = tf.cast(inputs, inputs.dtype if inputs.dtype in (tf.int32, tf.int64) else tf.int32)
    ids = tf.where(ids < 0, ids + layer.input_dim, ids)  # as Keras counts from the end
    rows = tf.gather(layer.embeddings.value, ids)
    return tf.cast(rows, layer.compute_dtype)
