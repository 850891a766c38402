"""How examples reach the compiled program: what a call is handed, and the batch of an update."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .. import Split
from .order import ExampleOrder

EVALUATED_AT_ONCE = 500
"""Test examples in one call: enough to keep the device busy, few enough for its memory."""
EVALUATED_BYTES = 2**26
"""What their inputs may take, which makes them fewer where they are large."""

Batch = tuple[tf.Tensor, tf.Tensor]
"""Inputs and labels."""
Handed = Any
"""What a feed hands to the program for a call: a nest of tensors."""


def at_once(shape: tuple[int, ...]) -> int:
    """How many test examples with inputs of a shape are looked at together."""
    return max(1, min(EVALUATED_AT_ONCE, EVALUATED_BYTES // (4 * math.prod(shape))))


class Feed(ABC):
    """The examples of every update, by its step alone, and those held out to evaluate."""

    def __init__(self, stream: ExampleOrder) -> None:
        self.stream = stream

    def along(self, stream: ExampleOrder) -> Self:
        """The same examples in the order of another stream; they are not copied."""
        other = copy(self)
        other.stream = stream
        return other

    @abstractmethod
    def signature(self, rows: int | None) -> Handed:
        """The shapes and types of what is handed for `rows` updates; None for any number."""

    @abstractmethod
    def hand(self, step: int, count: int, longest: int) -> Handed:
        """What the program needs for updates `step` to `step + count - 1`: tensors, on the host.

        Their shapes are those of `longest` updates whatever the `count`, so that one compilation
        serves every call. What is handed may be overwritten by the call after the next.
        """

    @abstractmethod
    def batch(self, handed: Handed, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        """In the program: the examples of the `i`-th update of a call, or one equal part of them.

        The parts of a batch follow one another: part 0 of 4 is its first quarter.
        """

    @abstractmethod
    def tests(self) -> Iterator[Batch]:
        """All held out examples, as many at a time as the device has room for."""


class Resident(Feed):
    """Examples that all live on the device; a call is handed which of them each update takes."""

    def __init__(self, data: Split, stream: ExampleOrder) -> None:
        """Copies all of `data` to the device once."""
        super().__init__(stream)
        self._train = tf.constant(data.train.inputs), tf.constant(data.train.labels)
        count = at_once(data.test.inputs.shape[1:])
        self._tests = [
            (tf.constant(data.test.inputs[chosen]), tf.constant(data.test.labels[chosen]))
            for start in range(0, len(data.test), count)
            for chosen in [slice(start, start + count)]
        ]

        self._next = _Drawn(stream)

    def along(self, stream: ExampleOrder) -> Self:
        other = super().along(stream)
        other._next = _Drawn(stream)
        return other

    def signature(self, rows: int | None) -> Handed:
        return tf.TensorSpec((rows, self.stream.batch_size), tf.int32)

    def hand(self, step: int, count: int, longest: int) -> tf.Tensor:
        chosen = self._next.take(step, count).astype(np.int32, copy=False)
        if count < longest:
            chosen = np.pad(chosen, [(0, longest - count), (0, 0)])
        return tf.constant(chosen)

    def batch(self, handed: tf.Tensor, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        chosen = handed[i]
        if parts > 1:
            chosen = tf.reshape(chosen, [parts, -1])[part]
        inputs, labels = (tf.gather(array, chosen) for array in self._train)
        return inputs, labels

    def tests(self) -> Iterator[Batch]:
        return iter(self._tests)


_DRAWING = ThreadPoolExecutor(1, "drawing")


class _Drawn:
    """The order of a call's examples, drawn while those of the call before are learnt from."""

    def __init__(self, stream: ExampleOrder) -> None:
        self._stream = stream
        self._asked = 0, 0
        self._coming: Future[NDArray[Any]] | None = None

    def take(self, step: int, count: int) -> NDArray[Any]:
        """What the stream has for updates `step` to `step + count - 1`."""
        if self._coming and self._asked == (step, count):
            chosen = self._coming.result()
        else:
            chosen = self._stream.indices(step, count)
        self._asked = step + count, count
        self._coming = _DRAWING.submit(self._stream.indices, *self._asked)
        return chosen
