"""Python objects made into raw examples: arrays, and datasets of `tf.data`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, refuse
from schedules.declaration.functions import CODE_ERRORS

from ..raw_data import RawExamples, RawPart
from ..trees import Tree


@dataclass(frozen=True)
class Converter:
    """Converts the objects that a program or a function brings.

    `path` and `value` are those of the override to refuse by, and `verb` begins each message.

    >>> raw = Converter("call", "mine:data", "returned", "").convert(([[1.0], [2.0]], [0, 1]))
    >>> raw.train.labels
    array([0, 1])
    """

    path: str
    value: object
    verb: str
    hint: str
    """What to bring instead."""

    def convert(self, data: Any) -> RawExamples:
        """The raw examples of one part, or of two: `(train, test)`.

        A part is `inputs`, `(inputs, labels)` or `(inputs, labels, weights)`, whose inputs and
        labels are arrays, or dicts or lists of them; or a `tf.data.Dataset` of single examples of
        such a structure. Without labels the inputs are to be given back.

        Raises:
            Refused: when the object is none of these.
        """
        if isinstance(data, (tuple, list)) and len(data) == 2 and all(map(_is_part, data)):
            train, test = map(self._part, data)
            return RawExamples(train, test)
        return RawExamples(self._part(data), None)

    def _part(self, data: Any) -> RawPart:
        if _is_dataset(data):
            return self._read_dataset(data)
        if isinstance(data, list):
            data = tuple(data)
        if not isinstance(data, tuple):
            return RawPart(self._tree(data, "inputs"), None)
        if len(data) not in (1, 2, 3):
            raise self._refuse(f"{self.verb} {len(data)} things", self.hint)
        inputs, labels, weights = (*data, None, None)[:3]
        return RawPart(
            self._tree(inputs, "inputs"),
            None if labels is None else self._tree(labels, "labels"),
            None if weights is None else self._array(weights),
        )

    def _tree(self, values: Any, what: str) -> Tree[NDArray[Any]]:
        """Arrays by name; those of a list of arrays are numbered."""
        if isinstance(values, Mapping):
            if not values:
                raise self._refuse(f"{self.verb} no {what}", self.hint)
            if unfit := [name for name in values if not isinstance(name, str) or not name]:
                raise self._refuse(f"{self.verb} {what} by the name {unfit[0]!r}", "use text")
            return {name: self._array(array) for name, array in values.items()}
        if isinstance(values, (tuple, list)) and len(values) > 1 and all(map(_is_array, values)):
            return {str(i): self._array(array) for i, array in enumerate(values)}
        return self._array(values)

    def _array(self, values: Any) -> NDArray[Any]:
        try:
            array = np.asarray(values)
        except CODE_ERRORS as error:  # rows of several lengths, tensors of a device, …
            rule = f"{self.verb} what is no array: {str(error).partition('. ')[0]}"
            raise self._refuse(rule, "all inputs need one shape") from None
        if array.dtype == object and not all(isinstance(item, str) for item in array.flat):
            what = type(values).__name__
            raise self._refuse(f"{self.verb} {what}, which is no array of numbers", self.hint)
        if not array.shape:
            rule = f"{self.verb} {type(values).__name__} in the place of an array"
            raise self._refuse(rule, self.hint)
        return array

    def _read_dataset(self, dataset: Any) -> RawPart:
        """All examples of a dataset, as arrays; the dataset is read once."""
        import tensorflow as tf

        length, spec = int(dataset.cardinality()), dataset.element_spec
        if length == -1:
            hint = "dataset.take(n); epochs are the trainer's to make"
            raise self._refuse(f"{self.verb} a dataset that never ends", hint)
        if length == -2:
            rule = f"{self.verb} a dataset that does not know how long it is"
            hint = "dataset.apply(tf.data.experimental.assert_cardinality(n))"
            raise self._refuse(rule, hint)
        if length == 0:
            raise self._refuse(f"{self.verb} a dataset of no examples")
        flat = tf.nest.flatten(spec)
        shapes = [getattr(component, "shape", None) for component in flat]
        if not all(shape is not None and shape.is_fully_defined() for shape in shapes):
            listed = " and ".join(map(str, shapes))
            rule = f"{self.verb} a dataset whose examples have no fixed shape: {listed}"
            raise self._refuse(rule, "dataset.unbatch(), if these are batches")
        arrays = [
            np.empty([length, *component.shape], component.dtype.as_numpy_dtype)
            for component in flat
        ]
        count = 0
        try:
            for count, example in enumerate(dataset.as_numpy_iterator(), start=1):
                if count <= length:
                    for array, value in zip(arrays, tf.nest.flatten(example), strict=True):
                        array[count - 1] = value
        except CODE_ERRORS as error:  # whatever the user's pipeline raises
            message = str(error).splitlines()[0]
            rule = f"{self.verb} a dataset that fails after {count} examples: {message}"
            raise self._refuse(rule) from None
        if count != length:
            rule = f"{self.verb} a dataset of {count} examples that says it has {length}"
            raise self._refuse(rule)
        texts = [
            np.char.decode(array.astype(bytes), "utf-8") if array.dtype == object else array
            for array in arrays
        ]
        return self._part(tf.nest.pack_sequence_as(spec, texts))

    def _refuse(self, rule: str, hint: str = "") -> Refused:
        return refuse(self.path, self.value, rule, hint)


def _is_part(data: Any) -> bool:
    """Whether an object is a dataset, or a tuple of inputs, labels and perhaps weights."""
    if _is_dataset(data):
        return True
    return isinstance(data, tuple) and len(data) in (2, 3) and not all(map(_is_number, data))


def _is_array(data: Any) -> bool:
    """Whether an object is an array or a tensor, of at least one axis."""
    return hasattr(data, "shape") and hasattr(data, "dtype") and len(data.shape) > 0


def _is_number(data: Any) -> bool:
    return isinstance(data, (int, float))


def _is_dataset(data: Any) -> bool:
    """Whether an object is a `tf.data.Dataset`; false where nobody has imported TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(data, tensorflow.data.Dataset)
