"""Examples that stay on disk and reach the device a call at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from .. import Examples, Split
from ..preparation import Preparation
from .feed import Batch, Feed, Handed, at_once
from .order import ExampleOrder
from .prefetch import Ahead, Batches, Source

CALL_BYTES = 2**25
"""What the examples of one call may take; there are two calls' in memory at a time."""


class Streaming(Feed):
    """Examples read by threads, and prepared on the device; a call is handed all of its batches.

    They are read while the device is at work on the call before. The order is the stream's, so a
    run gives the same bits as with `Resident` examples.
    """

    def __init__(self, data: Split, stream: ExampleOrder) -> None:
        super().__init__(stream)
        self._train, self._test = Source("train", data.train), Source("test", data.test)
        self._prepare = _Preparing(self._train.preparation)
        self._ahead: Ahead | None = None
        self._longest = fitting(data.train, stream.batch_size)

    def signature(self, rows: int | None) -> Handed:
        shape = (rows, self.stream.batch_size)
        inputs = tf.TensorSpec((*shape, *self._train.shape), self._train.dtype)
        labels = self._train.labels
        return inputs, tf.TensorSpec((*shape, *labels.shape[1:]), labels.dtype)

    def hand(self, step: int, count: int, longest: int) -> Handed:
        self._longest = max(self._longest, longest)
        if self._ahead is None or self._ahead.longest < self._longest:
            self._ahead = Ahead(self._train, self.stream, self._longest)
        batches = self._ahead.take(step, count, longest)
        with tf.device("CPU"):
            return tf.constant(batches.inputs), tf.constant(batches.labels)

    def batch(self, handed: Handed, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        inputs, labels = (tensor[i] for tensor in handed)
        if parts > 1:
            inputs, labels = (
                tf.reshape(tensor, [parts, -1, *tensor.shape[1:]])[part]
                for tensor in (inputs, labels)
            )
        return self._prepare(inputs), labels

    def tests(self) -> Iterator[Batch]:
        source = self._test
        count = at_once(source.shape)

        def read(start: int) -> Batches:
            numbers = np.arange(start, min(start + count, len(source)))
            inputs = np.empty((len(numbers), *source.shape), source.dtype)
            labels = np.empty((len(numbers), *source.labels.shape[1:]), source.labels.dtype)
            source.fill(numbers, inputs, labels)
            return Batches(inputs, labels)

        with ThreadPoolExecutor(1, "reading") as reader:
            ahead = reader.submit(read, 0)
            for start in range(0, len(source), count):
                batches = ahead.result()
                if start + count < len(source):
                    ahead = reader.submit(read, start + count)
                yield self._prepare(tf.constant(batches.inputs)), tf.constant(batches.labels)


def fitting(examples: Examples, batch_size: int) -> int:
    """How many batches may be handed for a call."""
    return max(1, CALL_BYTES // (Source("train", examples).bytes * batch_size))


class _Preparing:
    """What `Preparation.apply` does in numpy, on the device and to the last bit."""

    def __init__(self, preparation: Preparation | None) -> None:
        self._shape = preparation.shape if preparation else None
        # Tensors from outside of the program: by a constant within it, grappler and XLA would
        # multiply with its reciprocal, which rounds otherwise.
        self._shift = self._scale = None
        if preparation and any(preparation.shift):
            self._shift = tf.constant(np.asarray(preparation.shift, np.float32))
        if preparation and any(scale != 1 for scale in preparation.scale):
            self._scale = tf.constant(np.asarray(preparation.scale, np.float32))

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        values = tf.cast(inputs, tf.float32)
        if self._shape is not None:
            values = tf.reshape(values, [-1, *self._shape])
        if self._shift is not None:
            values -= self._shift
        if self._scale is not None:
            values /= self._scale
        return values
