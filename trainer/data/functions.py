"""Data that a function of the user's returns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.calls import Called
from schedules.refusal import Refused, refuse

from .brought import Brought, Found, Part

OURS = "trainer.data.functions:moons"
"""A function of this project's own, there for an example."""

MEANT = "return (inputs, labels), or ((inputs, labels), (test_inputs, test_labels))"


class Python(Called, Brought):
    """What the function `call` returns for `kwargs`: arrays, or `tf.data.Dataset`s of a length.

    It returns `(inputs, labels)`, of which a share is held out, or a pair of these, to train and
    to test. A `tf.data.Dataset` of single examples `(input, label)` may stand for either pair; it
    is read once, into memory, and must know how long it is. The function is called before anything
    else happens, also by previews, and once a process; it must return the same every time.
    """

    kind: Literal["python"] = "python"

    def code(self) -> Iterator[tuple[str, str]]:
        if self.call != OURS:
            yield from super().code()

    @property
    def labelled(self) -> tuple[str, object]:
        return "call", self.call

    def found(self) -> Found:
        try:
            returned = self.function(**self.kwargs)
        except Refused:
            raise
        except Exception as error:  # whatever the user's function raises
            rule = f"raised {type(error).__name__}: {error}"
            raise refuse("call", self.call, rule, f"it was given {self.kwargs}") from None
        if not isinstance(returned, (tuple, list)):
            return Found(self._part(returned), None)
        if len(returned) != 2:
            raise refuse("call", self.call, f"returned {len(returned)} things", MEANT)
        if all(_is_part(one) for one in returned):
            train, test = map(self._part, returned)
            return Found(train, test)
        return Found(self._part(returned), None)

    def _part(self, returned: Any) -> Part:
        if _is_dataset(returned):
            return self._drained(returned)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            rule = (
                f"returned {type(returned).__name__}, and must return arrays or a tf.data.Dataset"
            )
            raise refuse("call", self.call, rule, MEANT)
        inputs, labels = (self._array(one) for one in returned)
        return Part(inputs, labels)

    def _array(self, returned: Any) -> NDArray[Any]:
        try:
            array = np.asarray(returned)
        except Exception as error:  # rows of several lengths, tensors of a device, …
            rule = f"returned what is no array: {str(error).partition('. ')[0]}"
            raise refuse("call", self.call, rule, "all inputs need one shape") from None
        if array.dtype == object and not all(isinstance(one, str) for one in array.flat):
            what = type(returned).__name__
            raise refuse("call", self.call, f"returned {what}, which is no array of numbers", MEANT)
        if not array.shape:
            rule = f"returned {type(returned).__name__} in the place of an array"
            raise refuse("call", self.call, rule, MEANT)
        return array

    def _drained(self, dataset: Any) -> Part:
        """All examples of a dataset, as arrays."""
        length, spec = int(dataset.cardinality()), dataset.element_spec
        if length == -1:
            hint = "dataset.take(n); epochs are the trainer's to make"
            raise refuse("call", self.call, "returned a dataset that never ends", hint)
        if length == -2:
            rule = "returned a dataset that does not know how long it is"
            hint = "dataset.apply(tf.data.experimental.assert_cardinality(n))"
            raise refuse("call", self.call, rule, hint)
        if length == 0:
            raise refuse("call", self.call, "returned a dataset of no examples")
        if not isinstance(spec, tuple) or len(spec) != 2:
            rule = (
                f"returned a dataset of {type(spec).__name__}, and must have (input, label) pairs"
            )
            raise refuse("call", self.call, rule, "dataset.map(lambda row: (row['x'], row['y']))")
        shapes = [one.shape for one in spec]
        if not all(shape.is_fully_defined() for shape in shapes):
            told = " and ".join(str(shape) for shape in shapes)
            rule = f"returned a dataset whose examples have no fixed shape: {told}"
            raise refuse("call", self.call, rule, "dataset.unbatch(), if these are batches")
        arrays = [np.empty([length, *one.shape], one.dtype.as_numpy_dtype) for one in spec]
        count = 0
        try:
            for count, example in enumerate(dataset.as_numpy_iterator(), start=1):
                if count <= length:
                    for array, value in zip(arrays, example, strict=True):
                        array[count - 1] = value
        except Exception as error:  # whatever the user's pipeline raises
            said = str(error).splitlines()[0]
            rule = f"returned a dataset that fails after {count} examples: {said}"
            raise refuse("call", self.call, rule) from None
        if count != length:
            rule = f"returned a dataset of {count} examples that says it has {length}"
            raise refuse("call", self.call, rule)
        inputs, labels = arrays
        return Part(inputs, labels)


def _is_part(returned: Any) -> bool:
    return _is_dataset(returned) or (isinstance(returned, tuple) and len(returned) == 2)


def _is_dataset(returned: Any) -> bool:
    """Whether it is a `tf.data.Dataset`; if nobody imported TensorFlow, nothing is."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(returned, tensorflow.data.Dataset)


def moons(examples: int = 1000, noise: float = 0.1, seed: int = 0) -> tuple[Any, Any]:
    """Two half circles that reach into one another: an example for `python`.

    As scikit-learn's `make_moons`.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    labels = np.arange(examples) % 2
    angle = np.pi * random.random(examples)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inputs = np.where(labels[:, None] == 1, [1.0, 0.5] - upper, upper)
    return inputs + noise * random.standard_normal((examples, 2)), labels
