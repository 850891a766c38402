"""Python objects made into raw examples: arrays, and datasets of `tf.data`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, refuse
from schedules.declaration.functions import CODE_ERRORS, raised

from ..on_disk import fits_in_memory
from ..ragged import RaggedRows, rows_or_array
from ..raw_examples import RawExamples
from ..raw_part import RawPart
from ..streams.indexed import PyDatasetSource
from ..streams.source import Source
from ..streams.sources import stream_source
from ..streams.streamed import RawStream, alone, join_arrays, map_arrays
from ..trees import Tree, leaves, named_leaves

Chooser = Callable[[Mapping[str, Any]], tuple[Any, ...]]
"""Makes inputs, labels and perhaps weights of named columns."""
READ_AT_ONCE = 256
"""How many single examples of a dataset are read at a time."""


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
    stream_hint: str = "data=(stream, (test_inputs, test_labels))"
    """How a stream is brought."""

    def convert(self, data: Any) -> RawExamples:
        """The raw examples of one part, or of two: `(train, test)`.

        A part is `inputs`, `(inputs, labels)` or `(inputs, labels, weights)`, whose inputs and
        labels are arrays, or dicts or lists of them; or a `tf.data.Dataset` of single examples of
        such a structure. Without labels the inputs are to be given back. What trains may also be a
        stream, as `stream_source` knows them; then there are two parts.

        Raises:
            Refused: when the object is none of these.
        """
        is_pair = isinstance(data, (tuple, list)) and len(data) == 2
        source = self._source(data[0] if is_pair else data)
        if source is not None:
            if not is_pair:
                rule = f"{self.verb} {source.what}, of which none can be held out to evaluate by"
                raise self._refuse(rule, self.stream_hint)
            test = self._test_part(data[1])
            return self.stream(source, test, self._chooser(source, test))
        if is_pair and _is_part(data[0]) and (_is_part(data[1]) or self._source(data[1])):
            return RawExamples(self._part(data[0]), self._test_part(data[1]))
        return RawExamples(self._part(data), None)

    def _source(self, data: Any) -> Source | None:
        """What a stream comes from; None for what is read into memory."""
        if _is_dataset(data) and _fits_memory(data):
            return None
        try:
            return stream_source(data)
        except ValueError as error:
            rule, _, hint = str(error).partition(" / ")
            raise self._refuse(f"{self.verb} {rule}", hint) from None

    def _chooser(self, source: Source, test: RawPart) -> Chooser | None:
        """What takes the columns of an item that the tests name; None where items have none.

        Where the label of the tests has no name, it is the only other column.

        Raises:
            Refused: when the tests don't say which columns are inputs.
        """
        if not source.by_column:
            return None
        names = [name for name, _ in named_leaves(test.inputs)]
        labels = None if test.labels is None else [name for name, _ in named_leaves(test.labels)]

        def choose(item: Mapping[str, Any]) -> tuple[Any, ...]:
            others = [name for name in item if name not in names]
            of_label = others if labels == [""] else labels or []
            is_known = {*names, *of_label} <= item.keys()
            if not is_known or (labels == [""] and len(others) != 1):
                rule = f"{self.verb} {source.what} with the columns {', '.join(item)}"
                hint = "name them in the tests: data=(stream, ({'x': x_test}, {'y': y_test}))"
                raise self._refuse(f"{rule}, and the tests don't say what each is", hint)
            inputs = {name: item[name] for name in names}
            if labels is None:
                return (inputs,)
            return inputs, item[others[0]] if labels == [""] else {n: item[n] for n in labels}

        return choose

    def stream(self, source: Source, test: RawPart, choose: Chooser | None = None) -> RawExamples:
        """A stream, whose items are batches where they have more axes than the tests.

        `choose` makes inputs and labels, and perhaps weights, of an item by columns.

        Raises:
            Refused: when it gives nothing, or examples of another shape than the tests.
        """

        def convert(item: Any) -> RawPart:
            return self._part(item if choose is None else choose(item))

        try:
            item = source.open(0, 0).next()
        except StopIteration:
            raise self._refuse(f"{self.verb} {source.what} that gives nothing") from None
        except CODE_ERRORS as error:
            raise self._refuse(f"{self.verb} {source.what} that fails: {raised(error)}") from None
        part = convert(map_arrays(alone, item))
        shapes = [leaves(one.inputs)[0].shape[1:] for one in (part, test)]
        is_single = len(shapes[0]) == len(shapes[1])
        if not is_single and len(shapes[0]) != len(shapes[1]) + 1:
            rule = f"{self.verb} {source.what} of inputs of shape {list(shapes[0])}"
            hint = f"examples of shape {list(shapes[1])}, or batches of them"
            raise self._refuse(f"{rule}, and test has {list(shapes[1])}", hint)
        raw = RawStream(source, is_single, convert, self.path, self.value)
        sample = raw.part(item)
        if is_single and (groups := source.in_groups()) is not None:
            raw = RawStream(groups, False, convert, self.path, self.value)
        return RawExamples(sample, test, stream=raw)

    def _test_part(self, data: Any) -> RawPart:
        """What is evaluated by, whole; batches of a `PyDataset` are read one after another."""
        source = None if _is_dataset(data) else self._source(data)
        if source is None:
            return self._part(data)
        if not isinstance(source, PyDatasetSource) or not source.examples:
            hint = "arrays, a tf.data.Dataset that ends, or a PyDataset with a length"
            raise self._refuse(f"{self.verb} {source.what} to evaluate by", hint)
        batches, reader = [], source.open(0, 0)
        try:
            while True:
                batches.append(reader.next())
        except StopIteration:
            pass
        except CODE_ERRORS as error:  # whatever the user's class raises
            raise self._refuse(f"{self.verb} {source.what} that fails: {raised(error)}") from None
        return self._part(join_arrays(batches))

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

    def _tree(self, values: Any, what: str) -> Tree[Any]:
        """Arrays by name; those of a list of arrays are numbered."""
        if isinstance(values, Mapping):
            if not values:
                raise self._refuse(f"{self.verb} no {what}", self.hint)
            if unfit := [name for name in values if not isinstance(name, str) or not name]:
                raise self._refuse(f"{self.verb} {what} by the name {unfit[0]!r}", "use text")
            return {name: self._array(array) for name, array in values.items()}
        if isinstance(values, (tuple, list)) and len(values) > 1 and all(map(is_array, values)):
            return {str(i): self._array(array) for i, array in enumerate(values)}
        return self._array(values)

    def _array(self, values: Any) -> Any:
        try:
            array = rows_or_array(values)
        except CODE_ERRORS as error:  # rows of several lengths, tensors of a device, …
            rule = f"{self.verb} what is no array: {str(error).partition('. ')[0]}"
            raise self._refuse(rule, "all inputs need one shape") from None
        if isinstance(array, RaggedRows):
            return array
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

        from ..streams.tf_dataset import array_of, is_in_batches

        length, spec = int(dataset.cardinality()), dataset.element_spec
        if length == -1:
            hint = "dataset.take(n); epochs are the trainer's to make"
            raise self._refuse(f"{self.verb} a dataset that never ends", hint)
        if length == 0:
            raise self._refuse(f"{self.verb} a dataset of no examples")
        in_batches = is_in_batches(dataset)
        shapes: list[Any] = [getattr(one, "shape", None) for one in tf.nest.flatten(spec)]
        shapes = [shape[1:] if shape is not None and in_batches else shape for shape in shapes]
        if not all(shape is not None and shape.rank is not None for shape in shapes):
            raise self._shapeless(shapes)
        pieces: list[list[NDArray[Any]]] = []
        items: Any = dataset if in_batches else dataset.batch(READ_AT_ONCE)
        try:
            for item in items:
                pieces.append([array_of(tensor) for tensor in tf.nest.flatten(item)])
        except CODE_ERRORS as error:  # whatever the user's pipeline raises
            if not in_batches and not all(shape.is_fully_defined() for shape in shapes):
                raise self._shapeless(shapes) from None
            count = sum(len(arrays[0]) for arrays in pieces)
            message = str(error).splitlines()[0]
            rule = f"{self.verb} a dataset that fails after {count} examples or more: {message}"
            raise self._refuse(rule) from None
        if not pieces:
            raise self._refuse(f"{self.verb} a dataset of no examples")
        count = sum(len(arrays[0]) for arrays in pieces)
        if not in_batches and length > 0 and count != length:
            rule = f"{self.verb} a dataset of {count} examples that says it has {length}"
            raise self._refuse(rule)
        for column in zip(*pieces, strict=True):
            if len({array.shape[1:] for array in column}) > 1:
                raise self._shapeless(shapes)
        columns = [np.concatenate(column) for column in zip(*pieces, strict=True)]
        return self._part(tf.nest.pack_sequence_as(spec, columns))

    def _shapeless(self, shapes: Sequence[Any]) -> Refused:
        listed = " and ".join(map(str, shapes))
        rule = f"{self.verb} a dataset whose examples have no fixed shape: {listed}"
        return self._refuse(rule, "tf.ensure_shape in a map, or padded_batch to one length")

    def _refuse(self, rule: str, hint: str = "") -> Refused:
        return refuse(self.path, self.value, rule, hint)


def _is_part(data: Any) -> bool:
    """Whether an object is a dataset, or a tuple of inputs, labels and perhaps weights."""
    if _is_dataset(data):
        return True
    return isinstance(data, tuple) and len(data) in (2, 3) and not all(map(_is_number, data))


def is_array(data: Any) -> bool:
    """Whether an object is an array or a tensor, of at least one axis."""
    return hasattr(data, "shape") and hasattr(data, "dtype") and len(data.shape) > 0


def _is_number(data: Any) -> bool:
    return isinstance(data, (int, float))


def _is_dataset(data: Any) -> bool:
    """Whether an object is a `tf.data.Dataset`; false where nobody has imported TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(data, tensorflow.data.Dataset)


def _fits_memory(dataset: Any) -> bool:
    """Whether a dataset is read into memory: it ends, is the same in every pass, and is small."""
    import tensorflow as tf

    from ..streams.seeding import Pipeline

    length = int(dataset.cardinality())
    if length < 0 or Pipeline(dataset).varies:
        return False
    shapes: list[Any] = [
        getattr(spec, "shape", None) for spec in tf.nest.flatten(dataset.element_spec)
    ]
    if not all(shape is not None and shape.rank is not None for shape in shapes):
        return True  # and is refused for it
    sizes = [math.prod(size or 1 for size in shape) for shape in shapes]
    return fits_in_memory(length * sum(sizes))
