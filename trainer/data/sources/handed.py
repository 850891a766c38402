"""Arrays and datasets that a program hands over, made into raw inputs and labels."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, refuse

from ..raw_data import RawExamples, RawPart


@dataclass(frozen=True)
class Handed:
    """Who hands something over: the override that names it, its value, and what it does.

    >>> found = Handed("call", "mine:data", "returned", "").read(([[1.0], [2.0]], [0, 1]))
    >>> found.train.labels
    array([0, 1])
    """

    path: str
    value: object
    verb: str
    meant: str
    """What to do instead."""

    def read(self, handed: Any) -> RawExamples:
        """What it holds: arrays, or a `tf.data.Dataset` that is read once, or a pair of these.

        Raises:
            Refused: when it is nothing of the sort.
        """
        if not isinstance(handed, (tuple, list)):
            return RawExamples(self._part(handed), None)
        if len(handed) != 2:
            raise self._refuse(f"{self.verb} {len(handed)} things", self.meant)
        if all(_is_part(one) for one in handed):
            train, test = map(self._part, handed)
            return RawExamples(train, test)
        return RawExamples(self._part(handed), None)

    def _part(self, handed: Any) -> RawPart:
        if _is_dataset(handed):
            return self._drained(handed)
        if not isinstance(handed, (tuple, list)) or len(handed) != 2:
            what = type(handed).__name__
            rule = f"{self.verb} {what}, and must be arrays or a tf.data.Dataset"
            raise self._refuse(rule, self.meant)
        inputs, labels = (self._array(one) for one in handed)
        return RawPart(inputs, labels)

    def _array(self, handed: Any) -> NDArray[Any]:
        try:
            array = np.asarray(handed)
        except Exception as error:  # rows of several lengths, tensors of a device, …
            rule = f"{self.verb} what is no array: {str(error).partition('. ')[0]}"
            raise self._refuse(rule, "all inputs need one shape") from None
        if array.dtype == object and not all(isinstance(one, str) for one in array.flat):
            what = type(handed).__name__
            raise self._refuse(f"{self.verb} {what}, which is no array of numbers", self.meant)
        if not array.shape:
            rule = f"{self.verb} {type(handed).__name__} in the place of an array"
            raise self._refuse(rule, self.meant)
        return array

    def _drained(self, dataset: Any) -> RawPart:
        """All examples of a dataset, as arrays."""
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
        shapes = [one.shape for one in spec]
        if not all(shape.is_fully_defined() for shape in shapes):
            told = " and ".join(str(shape) for shape in shapes)
            rule = f"{self.verb} a dataset whose examples have no fixed shape: {told}"
            raise self._refuse(rule, "dataset.unbatch(), if these are batches")
        arrays = [np.empty([length, *one.shape], one.dtype.as_numpy_dtype) for one in spec]
        count = 0
        try:
            for count, example in enumerate(dataset.as_numpy_iterator(), start=1):
                if count <= length:
                    for array, value in zip(arrays, example, strict=True):
                        array[count - 1] = value
        except Exception as error:  # whatever the user's pipeline raises
            said = str(error).splitlines()[0]
            rule = f"{self.verb} a dataset that fails after {count} examples: {said}"
            raise self._refuse(rule) from None
        if count != length:
            rule = f"{self.verb} a dataset of {count} examples that says it has {length}"
            raise self._refuse(rule)
        inputs, labels = arrays
        return RawPart(inputs, labels)

    def _refuse(self, rule: str, hint: str = "") -> Refused:
        return refuse(self.path, self.value, rule, hint)


def _is_part(handed: Any) -> bool:
    return _is_dataset(handed) or (isinstance(handed, tuple) and len(handed) == 2)


def _is_dataset(handed: Any) -> bool:
    """Whether it is a `tf.data.Dataset`; if nobody imported TensorFlow, nothing is."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(handed, tensorflow.data.Dataset)
