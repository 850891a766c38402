"""Python objects made into raw examples: arrays, and datasets of `tf.data`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, refuse
from schedules.declaration.functions import CODE_ERRORS

from ..raw_data import RawExamples, RawPart


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
        """The raw examples of `(inputs, labels)` or of a `tf.data.Dataset`, or of a pair of these.

        Raises:
            Refused: when the object is none of these.
        """
        if not isinstance(data, (tuple, list)):
            return RawExamples(self._part(data), None)
        if len(data) != 2:
            raise self._refuse(f"{self.verb} {len(data)} things", self.hint)
        if all(_is_part(item) for item in data):
            train, test = map(self._part, data)
            return RawExamples(train, test)
        return RawExamples(self._part(data), None)

    def _part(self, data: Any) -> RawPart:
        if _is_dataset(data):
            return self._read_dataset(data)
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            what = type(data).__name__
            rule = f"{self.verb} {what}, and must be arrays or a tf.data.Dataset"
            raise self._refuse(rule, self.hint)
        inputs, labels = (self._array(item) for item in data)
        return RawPart(inputs, labels)

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
        if not isinstance(spec, tuple) or len(spec) != 2:
            what = type(spec).__name__
            rule = f"{self.verb} a dataset of {what}, and must have (input, label) pairs"
            raise self._refuse(rule, "dataset.map(lambda row: (row['x'], row['y']))")
        shapes = [component.shape for component in spec]
        if not all(shape.is_fully_defined() for shape in shapes):
            listed = " and ".join(str(shape) for shape in shapes)
            rule = f"{self.verb} a dataset whose examples have no fixed shape: {listed}"
            raise self._refuse(rule, "dataset.unbatch(), if these are batches")
        arrays = [
            np.empty([length, *component.shape], component.dtype.as_numpy_dtype)
            for component in spec
        ]
        count = 0
        try:
            for count, example in enumerate(dataset.as_numpy_iterator(), start=1):
                if count <= length:
                    for array, value in zip(arrays, example, strict=True):
                        array[count - 1] = value
        except CODE_ERRORS as error:  # whatever the user's pipeline raises
            message = str(error).splitlines()[0]
            rule = f"{self.verb} a dataset that fails after {count} examples: {message}"
            raise self._refuse(rule) from None
        if count != length:
            rule = f"{self.verb} a dataset of {count} examples that says it has {length}"
            raise self._refuse(rule)
        inputs, labels = arrays
        return RawPart(inputs, labels)

    def _refuse(self, rule: str, hint: str = "") -> Refused:
        return refuse(self.path, self.value, rule, hint)


def _is_part(data: Any) -> bool:
    """Whether an object is a dataset or `(inputs, labels)`."""
    return _is_dataset(data) or (isinstance(data, tuple) and len(data) == 2)


def _is_dataset(data: Any) -> bool:
    """Whether an object is a `tf.data.Dataset`; false where nobody has imported TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(data, tensorflow.data.Dataset)
