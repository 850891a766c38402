"""`tf.data` pipelines, read pass after pass."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .seeding import Pipeline
from .source import Pass, Source

GROUP = 64
"""How many single examples are taken from a pipeline at a time."""
BATCHING = {"_BatchDataset", "_ParallelBatchDataset", "_PaddedBatchDataset"}
AS_MANY = {
    "_AssertCardinalityDataset",
    "_CacheDataset",
    "_MapDataset",
    "_OptionsDataset",
    "_ParallelMapDataset",
    "_PrefetchDataset",
    "_ShuffleDataset",
}
"""TensorFlow's classes of datasets that give as many items as the one they are made of."""


class DatasetSource(Source):
    """A dataset of batches; random operations draw anew in each pass, by the seed and its number.

    The state of the iterator is saved where TensorFlow can; it can't where an operation of the
    pipeline has a state of its own, as random ones and Python functions have.
    """

    what: ClassVar[str] = "a tf.data.Dataset"

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self._dataset = dataset
        self._pipeline = Pipeline(dataset)

    def in_groups(self) -> DatasetSource:
        return DatasetSource(self._dataset.batch(GROUP))

    @cached_property
    def how(self) -> str:
        if self._pipeline.has_state:  # TensorFlow would say so on standard error
            return "replay"
        try:
            self.open(0, 0).state()
        except tf.errors.OpError:
            return "replay"
        return "state"

    @cached_property
    def examples(self) -> int | None:
        count = int(self._dataset.cardinality())
        if count < 0:
            return None
        sizes = {spec.shape[0] for spec in tf.nest.flatten(self._dataset.element_spec)}
        if len(sizes) == 1 and (size := sizes.pop()) is not None:
            return count * int(size)
        return _count_before_batches(self._dataset)

    def open(self, number: int, seed: int) -> Pass:
        with tf.device("CPU"):
            return _DatasetPass(self._pipeline.seeded(number, seed))


class _DatasetPass(Pass):
    def __init__(self, dataset: tf.data.Dataset) -> None:
        self._dataset = dataset  # an iterator does not keep all that it needs
        self._iterator = iter(dataset)

    def next(self) -> Any:
        return tf.nest.map_structure(array_of, next(self._iterator))

    def state(self) -> bytes:
        with TemporaryDirectory() as folder:
            prefix = tf.train.Checkpoint(self._iterator).write(f"{folder}/iterator")
            files = sorted(Path(folder).iterdir())
            assert len(files) == 2, prefix
            data, index = (file.read_bytes() for file in files)
            return len(data).to_bytes(8, "big") + data + index

    def restore(self, state: bytes) -> None:
        length = 8 + int.from_bytes(state[:8], "big")
        with TemporaryDirectory() as folder:
            Path(folder, "iterator.data-00000-of-00001").write_bytes(state[8:length])
            Path(folder, "iterator.index").write_bytes(state[length:])
            tf.train.Checkpoint(self._iterator).read(f"{folder}/iterator").assert_consumed()


def is_in_batches(dataset: tf.data.Dataset) -> bool:
    """Whether the items of a dataset are batches: of no fixed size, or batched by its last steps.

    A dataset of windows is one of single examples, where these were batched before a `flat_map`.
    """
    flat = tf.nest.flatten(dataset.element_spec)
    shapes = [spec.shape for spec in flat]
    if not all(shape.rank for shape in shapes):  # a scalar, or nothing that is known
        return False
    if all(shape[0] is None for shape in shapes):
        return True
    return _batching(dataset) is not None


def _batching(dataset: tf.data.Dataset) -> tf.data.Dataset | None:
    """The step of a pipeline that made the batches which come out of it; None if there is none."""
    while type(dataset).__name__ in AS_MANY | {"_RepeatDataset", "_TakeDataset", "_SkipDataset"}:
        [dataset] = dataset._inputs()
    return dataset if type(dataset).__name__ in BATCHING else None


def _count_before_batches(dataset: tf.data.Dataset) -> int | None:
    """The examples of which batches were made that come out of a pipeline as they are."""
    while type(dataset).__name__ in AS_MANY:
        [dataset] = dataset._inputs()
    if type(dataset).__name__ not in BATCHING:
        return None
    count = int(dataset._inputs()[0].cardinality())
    return count if count >= 0 else None


def array_of(tensor: tf.Tensor) -> NDArray[Any]:
    """A tensor as an array; bytes are text."""
    array = np.asarray(tensor)
    return np.char.decode(array.astype(bytes), "utf-8") if array.dtype == object else array
