"""Batches that threads read ahead of the updates that need them."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..examples import Examples
from ..finite import check_finite
from ..inputs import Inputs, Subset
from ..on_disk import raw_inputs
from ..preparation import Preparation
from .order import ExampleOrder

READERS = max(2, min(8, os.cpu_count() or 2))
"""Threads that read. A slow disk keeps more threads busy than there are cores."""
READ_BYTES = 2**20
"""How much a thread reads at a time: enough to be worth a task."""


class PartReader:
    """Reads the examples of one part for the device, raw where the device can prepare them."""

    def __init__(self, name: str, examples: Examples) -> None:
        self.name = name
        self.labels = examples.labels
        raw, preparation = raw_inputs(examples.inputs)
        self._raw: Inputs = raw
        self._checks_finite = preparation is not None and raw.dtype.kind == "f"
        needs_float64 = np.result_type(raw.dtype, np.float32) != np.float32
        self._host_preparation = preparation if needs_float64 else None
        """The host prepares inputs whose preparation needs float64."""
        self.preparation: Preparation | None = None if needs_float64 else preparation
        """What is left for the device to do."""
        if needs_float64:
            self.shape, self.dtype = tuple(examples.inputs.shape[1:]), np.dtype(np.float32)
        else:
            self.shape, self.dtype = tuple(raw.shape[1:]), raw.dtype.newbyteorder("=")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """The size of one example."""
        label = self.labels.dtype.itemsize * int(np.prod(self.labels.shape[1:]))
        return self.dtype.itemsize * int(np.prod(self.shape)) + label

    def fill(self, row_index: NDArray[Any], inputs: NDArray[Any], labels: NDArray[Any]) -> None:
        """Copies the examples of `row_index` into the arrays `inputs` and `labels`.

        Raises:
            Refused: when one is not finite, or can't be read.
        """
        np.take(self.labels, row_index, axis=0, out=labels, mode="clip")
        raw: Any = self._raw
        raw_index = row_index
        if isinstance(raw, Subset):
            raw, raw_index = raw.inputs, raw.row_index[row_index]
        if self._host_preparation is not None:
            inputs[...] = self._host_preparation.apply(raw[raw_index])
        elif isinstance(raw, np.ndarray) and raw.dtype == self.dtype:
            np.take(raw, raw_index, axis=0, out=inputs, mode="clip")
        else:
            inputs[...] = raw[raw_index]
        if self._checks_finite:
            check_finite(f"data.{self.name}", "a value", inputs, row_index=row_index)


class _Read(NamedTuple):
    """A thread's task: to read the batches of a buffer from `first` on."""

    first: int
    future: Future[None]


class _Buffer:
    """Memory for the batches of one call, and the threads' tasks that fill it."""

    def __init__(self, reader: PartReader, batch_size: int, longest: int) -> None:
        shape = (longest, batch_size)
        self.inputs = np.empty((*shape, *reader.shape), reader.dtype)
        self.labels = np.empty((*shape, *reader.labels.shape[1:]), reader.labels.dtype)
        self.step = -1
        """The step of the first batch."""
        self.requested = 0
        """How many batches have been read or are being read."""
        self.reads: list[_Read] = []

    def wait(self, count: int) -> None:
        """Waits for the first `count` batches."""
        while self.reads and self.reads[0].first < count:
            self.reads.pop(0).future.result()

    def clear(self, step: int) -> None:
        """Cancels the reads, waits for those that already run, and begins anew at `step`."""
        for read in self.reads:
            read.future.cancel()
        for read in self.reads:
            if not read.future.cancelled():
                read.future.exception()
        self.step, self.requested, self.reads = step, 0, []


class Batches(NamedTuple):
    """The batches of some updates: `[count, batch_size, ...]`."""

    inputs: NDArray[Any]
    labels: NDArray[Any]


class Prefetcher:
    """Reads the batches of the next call while the device works on those of this one.

    An update's examples depend on its step alone, and there is nothing to restore: a step other
    than the next one only costs the wait. The call after the next overwrites what `take` returned;
    the memory is that of two calls.
    """

    def __init__(self, reader: PartReader, order: ExampleOrder, longest: int) -> None:
        self._reader = reader
        self._order = order
        self.longest = longest
        self._buffers = [_Buffer(reader, order.batch_size, longest) for _ in range(2)]
        self._pool = ThreadPoolExecutor(READERS, "reading")
        self._order_lock = Lock()
        self._batches_per_read = max(1, READ_BYTES // (reader.bytes * order.batch_size))

    def take(self, step: int, count: int, rows: int) -> Batches:
        """The batches of updates `step` to `step + count - 1`, in arrays of `rows` of them.

        Raises:
            Refused: when an example can't be read or learnt from.
        """
        current, following = self._buffers
        if current.step != step:
            current.clear(step)
        self._request(current, count)
        current.wait(count)
        following.clear(step + count)
        if (spare := current.requested - count) > 0:
            current.wait(current.requested)
            following.inputs[:spare] = current.inputs[count : current.requested]
            following.labels[:spare] = current.labels[count : current.requested]
            following.requested = spare
        self._request(following, count)
        self._buffers.reverse()
        current.step = -1
        return Batches(current.inputs[:rows], current.labels[:rows])

    def _request(self, buffer: _Buffer, count: int) -> None:
        """Lets threads read those of a buffer's first `count` batches that it lacks."""
        while buffer.requested < count:
            first = buffer.requested
            stop = min(count, first + self._batches_per_read)
            future = self._pool.submit(self._read, buffer, first, stop)
            buffer.reads.append(_Read(first, future))
            buffer.requested = stop

    def _read(self, buffer: _Buffer, first: int, stop: int) -> None:
        with self._order_lock:  # or each thread would draw an epoch's permutation by itself
            row_index = self._order.indices(buffer.step + first, stop - first).ravel()
        inputs, labels = buffer.inputs[first:stop], buffer.labels[first:stop]
        self._reader.fill(
            row_index,
            inputs.reshape(-1, *self._reader.shape),
            labels.reshape(-1, *self._reader.labels.shape[1:]),
        )
