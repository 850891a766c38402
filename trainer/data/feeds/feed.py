"""How examples reach the compiled program: the arguments of a call, and the batch of an update."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .. import Split
from ..trees import Tree, leaves
from .batch import Batch
from .order import ExampleOrder
from .resident_windows import resident, taken, whole, with_rows_resident

EVALUATION_BATCH_SIZE = 500
"""Test examples in one batch: enough to keep the device busy, few enough for its memory."""
EVALUATION_BATCH_BYTES = 2**26
"""The most bytes that the inputs of a test batch take; large inputs make it smaller."""
FeedArgs = Any
"""The arguments that a feed passes to one call of the compiled program: a nest of tensors."""


def evaluation_batch_size(inputs: Tree[Any]) -> int:
    """How many test examples with such inputs, arrays `[n, ...]`, make one batch."""
    size = sum(math.prod(array.shape[1:]) for array in leaves(inputs))
    return int(max(1, min(EVALUATION_BATCH_SIZE, EVALUATION_BATCH_BYTES // (4 * size))))


class Feed(ABC):
    """The training examples of every update, which depend on its step alone; and the tests."""

    def __init__(self, order: ExampleOrder) -> None:
        self.order = order

    def in_order(self, order: ExampleOrder) -> Self:
        """A feed of the same examples in another order; the examples are not copied."""
        feed = copy(self)
        feed.order = order
        return feed

    @abstractmethod
    def signature(self, updates: int | None) -> FeedArgs:
        """The shapes and types of the arguments for so many updates; None for any number."""

    def reading_ahead(self, step: int) -> AbstractContextManager[None]:
        """Within it, what updates from `step` on take is read while their program is made."""
        return nullcontext()

    @abstractmethod
    def args(self, step: int, count: int, longest: int) -> FeedArgs:
        """The arguments of a call that makes updates `step` to `step + count - 1`: host tensors.

        Their shapes are those of `longest` updates whatever the `count`, so one compilation serves
        every call. The call after the next may overwrite them.
        """

    @abstractmethod
    def batch(self, feed_args: FeedArgs, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        """In the program: the examples of the `i`-th update of a call, or an equal part of them.

        The parts of a batch follow one another: part 0 of 4 is its first quarter.
        """

    def in_shape(
        self, feed_args: FeedArgs, i: tf.Tensor, work: Callable[[Feed], list[tf.Tensor]]
    ) -> list[tf.Tensor]:
        """In the program: `work` with a feed whose batches have the shape of the `i`-th update's.

        Where batches have several shapes, each is a branch of the program.
        """
        return work(self)

    @abstractmethod
    def tests(self) -> Iterator[Batch]:
        """All test examples, in batches that fit on the device."""


class Resident(Feed):
    """Examples that all stay on the device; a call's arguments are the numbers of its examples."""

    def __init__(self, data: Split, order: ExampleOrder) -> None:
        """Copies all of `data` to the device once."""
        super().__init__(order)
        self._train = Batch.of(data.train).map(resident)
        test = Batch.of(data.test).map(with_rows_resident)
        count = evaluation_batch_size(data.test.inputs)
        self._tests = [
            test.map(lambda array: resident(array[rows]))  # noqa: B023  # called here
            for start in range(0, len(data.test), count)
            for rows in [slice(start, start + count)]
        ]
        self._prefetch = _IndexPrefetch(order)

    def in_order(self, order: ExampleOrder) -> Self:
        feed = super().in_order(order)
        feed._prefetch = _IndexPrefetch(order)
        return feed

    def signature(self, updates: int | None) -> FeedArgs:
        return tf.TensorSpec((updates, self.order.batch_size), tf.int32)

    def args(self, step: int, count: int, longest: int) -> tf.Tensor:
        indices = self._prefetch.take(step, count).astype(np.int32, copy=False)
        if count < longest:
            indices = np.pad(indices, [(0, longest - count), (0, 0)])
        return tf.constant(indices)

    def batch(self, feed_args: tf.Tensor, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        indices = feed_args[i]
        if parts > 1:
            indices = tf.reshape(indices, [parts, -1])[part]
        return self._train.map(lambda array: taken(array, indices))

    def tests(self) -> Iterator[Batch]:
        for batch in self._tests:
            yield batch.map(whole)


_PREFETCH_THREAD = ThreadPoolExecutor(1, "drawing")


class _IndexPrefetch:
    """Computes the example numbers of the next call while the device works on this one."""

    def __init__(self, order: ExampleOrder) -> None:
        self._order = order
        self._next_call = 0, 0
        self._next_indices: Future[NDArray[Any]] | None = None

    def take(self, step: int, count: int) -> NDArray[Any]:
        """The example numbers of updates `step` to `step + count - 1`."""
        if self._next_indices and self._next_call == (step, count):
            indices = self._next_indices.result()
        else:
            indices = self._order.indices(step, count)
        self._next_call = step + count, count
        self._next_indices = _PREFETCH_THREAD.submit(self._order.indices, *self._next_call)
        return indices
