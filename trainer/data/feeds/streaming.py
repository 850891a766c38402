"""Examples that stay on the host and reach the device a call at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import numpy as np
import tensorflow as tf

from .. import Examples, Split
from ..input_preparation import InputPreparation
from .batch import Batch
from .feed import Feed, FeedArgs, evaluation_batch_size
from .order import ExampleOrder
from .prefetch import PartReader, Prefetcher

CALL_BYTES = 2**25
"""The most bytes that the examples of one call take; two calls are in memory at a time."""
SWITCH_INTERVAL = 1e-4
"""After how many seconds the thread that makes the program lets those that read have Python."""


class Streaming(Feed):
    """Examples read by threads and prepared on the device; a call's arguments are its batches.

    Threads read the next call's batches while the device works on this call's. The order is that
    of `Resident` examples, and a run has the same bits.
    """

    def __init__(self, data: Split, order: ExampleOrder) -> None:
        super().__init__(order)
        self._train, self._test = PartReader("train", data.train), PartReader("test", data.test)
        self._test_inputs = data.test.inputs
        self._prepare = _DevicePreparations(self._train)
        self._prefetcher: Prefetcher | None = None
        self._longest = batches_per_call(data.train, order.batch_size)

    def signature(self, updates: int | None) -> FeedArgs:
        shape = (updates, self.order.batch_size)
        return [
            tf.TensorSpec((*shape, *reader.shape), tf.as_dtype(reader.dtype))
            for reader in self._train.readers.distinct()
        ]

    def in_order(self, order: ExampleOrder) -> Self:
        feed = super().in_order(order)
        feed._prefetcher = None
        return feed

    @contextmanager
    def reading_ahead(self, step: int) -> Iterator[None]:
        self._prefetcher = Prefetcher(self._train, self.order, self._longest)
        interval = sys.getswitchinterval()
        # A thread that reads gives Python up for each file. To have it back from one that makes a
        # program takes this long each time: with the usual 5 ms, as long as to decode 20 images.
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            with self._prefetcher.reading_ahead(step):
                yield
        finally:
            sys.setswitchinterval(interval)

    def args(self, step: int, count: int, longest: int) -> FeedArgs:
        self._longest = max(self._longest, longest)
        if self._prefetcher is None or self._prefetcher.longest < self._longest:
            self._prefetcher = Prefetcher(self._train, self.order, self._longest)
        batches = self._prefetcher.take(step, count, longest)
        with tf.device("CPU"):
            return [tf.constant(array) for array in batches.distinct()]

    def batch(self, feed_args: FeedArgs, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        def taken(tensor: tf.Tensor) -> tf.Tensor:
            tensor = tensor[i]
            return (
                tensor if parts == 1 else tf.reshape(tensor, [parts, -1, *tensor.shape[1:]])[part]
            )

        return self._prepare(self._train.readers.filled(map(taken, feed_args)))

    def tests(self) -> Iterator[Batch]:
        part = self._test
        count = evaluation_batch_size(self._test_inputs)

        def read(start: int) -> Batch:
            row_index = np.arange(start, min(start + count, len(part)))
            batch = part.empty(len(row_index))
            part.fill(row_index, batch)
            return batch

        with ThreadPoolExecutor(1, "reading") as reader:
            next_batch = reader.submit(read, 0)
            for start in range(0, len(part), count):
                batch = next_batch.result()
                if start + count < len(part):
                    next_batch = reader.submit(read, start + count)
                yield self._prepare(batch.map(tf.constant))


def batches_per_call(examples: Examples, batch_size: int) -> int:
    """How many batches of the examples one call may take."""
    return max(1, CALL_BYTES // (PartReader("train", examples).bytes * batch_size))


class _DevicePreparations:
    """The preparation of a batch's arrays that is left for the device."""

    def __init__(self, reader: PartReader) -> None:
        readers = reader.readers.distinct()
        self._each = [_DevicePreparation(each.preparation) for each in readers]

    def __call__(self, batch: Batch) -> Batch:
        pairs = zip(self._each, batch.distinct(), strict=True)
        return batch.filled(prepare(tensor) for prepare, tensor in pairs)


class _DevicePreparation:
    """`InputPreparation.apply` on the device, with the same bits as in numpy."""

    def __init__(self, preparation: InputPreparation | None) -> None:
        self._is_given = preparation is None
        """Whether the host has done all that there is to do."""
        self._shape = preparation.shape if preparation else None
        # Tensors from outside the program: grappler and XLA would multiply by the reciprocal of a
        # constant in it, which rounds otherwise.
        self._shift = self._scale = None
        if preparation and any(preparation.shift):
            self._shift = tf.constant(np.asarray(preparation.shift, np.float32))
        if preparation and any(scale != 1 for scale in preparation.scale):
            self._scale = tf.constant(np.asarray(preparation.scale, np.float32))

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        if self._is_given:
            return inputs
        values = tf.cast(inputs, tf.float32)
        if self._shape is not None:
            values = tf.reshape(values, [-1, *self._shape])
        if self._shift is not None:
            values -= self._shift
        if self._scale is not None:
            values /= self._scale
        return values
