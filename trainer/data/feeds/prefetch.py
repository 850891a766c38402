"""Batches that threads read ahead of the updates that need them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused

from ..column import Prepared
from ..examples import Examples
from ..finite import check_finite
from ..input_preparation import InputPreparation
from ..inputs import Inputs, Subset
from ..kept_rows import KeptRows
from ..on_disk import raw_inputs
from .batch import Batch
from .order import ExampleOrder

READERS = max(2, min(8, os.cpu_count() or 2))
"""Threads that read. A slow disk keeps more threads busy than there are cores."""
READ_BYTES = 2**20
"""How much a thread reads at a time: enough to be worth a task."""


class ArrayReader:
    """Reads rows of one array for the device, raw where the device can prepare them."""

    def __init__(self, path: str, array: Any) -> None:
        self.path = path
        raw, preparation = raw_inputs(array)
        self._raw: Inputs = raw
        self._checks_finite = preparation is not None and raw.dtype.kind == "f"
        self.preparation: InputPreparation | None = None
        """What is left for the device to do."""
        self._host_preparation: Prepared | None = None
        """The host prepares what has to be filled or needs float64, ids and text."""
        if isinstance(preparation, InputPreparation) and _suits_device(raw.dtype, preparation):
            self.preparation = preparation
        else:
            self._host_preparation = preparation
        on_host = self._host_preparation is not None
        if on_host:
            self.shape, self.dtype = tuple(array.shape[1:]), array.dtype
        else:
            self.shape, self.dtype = tuple(raw.shape[1:]), raw.dtype.newbyteorder("=")

    @property
    def bytes(self) -> int:
        """The size of one row."""
        return int(self.dtype.itemsize * np.prod(self.shape))

    def empty(self, *shape: int) -> NDArray[Any]:
        """Memory for rows, `[*shape, ...]`."""
        return np.empty((*shape, *self.shape), self.dtype)

    def keep(self, row_index: NDArray[Any]) -> bool:
        """Has rows made that are kept once they are; returns whether others may be missing.

        Raises:
            Refused: when one can't be read.
        """
        raw, raw_index = self._within(row_index)
        return isinstance(raw, KeptRows) and raw.keep(raw_index)

    def _within(self, row_index: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        """Where the rows are read, and their numbers there."""
        if isinstance(self._raw, Subset):
            return self._raw.inputs, self._raw.row_index[row_index]
        return self._raw, row_index

    def fill(self, row_index: NDArray[Any], rows: NDArray[Any]) -> None:
        """Copies the rows of `row_index` into the array `rows`.

        Raises:
            Refused: when one is not finite, or can't be read.
        """
        raw, raw_index = self._within(row_index)
        if self._host_preparation is not None:
            rows[...] = self._host_preparation.apply(raw[raw_index])
        elif isinstance(raw, KeptRows) and raw.dtype == self.dtype:
            raw.fill(raw_index, rows)
        elif isinstance(raw, np.ndarray) and raw.dtype == self.dtype:
            np.take(raw, raw_index, axis=0, out=rows, mode="clip")
        else:
            rows[...] = raw[raw_index]
        if self._checks_finite:
            check_finite(self.path, "a value", rows, row_index=row_index)


def _suits_device(dtype: np.dtype[Any], preparation: InputPreparation) -> bool:
    """Whether the device can do a preparation with the bits of numpy."""
    if preparation.dtype != "float32" or preparation.fill is not None:
        return False
    return np.result_type(dtype, np.float32) == np.float32


class PartReader:
    """Reads the examples of one part for the device."""

    def __init__(self, name: str, examples: Examples) -> None:
        def reader(array: Any) -> ArrayReader:
            return ArrayReader(f"data.{name}", array)

        self._examples = len(examples)
        self.readers = Batch.of(examples).map(reader)
        """What reads each array."""

    def __len__(self) -> int:
        return self._examples

    def keep(self, row_index: NDArray[Any]) -> bool:
        """Has those arrays' rows made that are kept; returns whether others may be missing.

        Raises:
            Refused: when one can't be read.
        """
        others = [reader.keep(row_index) for reader in self.readers.distinct()]
        return any(others)

    @property
    def bytes(self) -> int:
        """The size of one example."""
        return sum(reader.bytes for reader in self.readers.distinct())

    def empty(self, *shape: int) -> Batch:
        """Memory for examples, `[*shape, ...]` each array."""
        return self.readers.map(lambda reader: reader.empty(*shape))

    def fill(self, row_index: NDArray[Any], batch: Batch) -> None:
        """Copies the examples of `row_index` into the arrays of `batch`.

        Raises:
            Refused: when one is not finite, or can't be read.
        """
        for reader, rows in zip(self.readers.distinct(), batch.distinct(), strict=True):
            reader.fill(row_index, rows.reshape(-1, *reader.shape))


class _Read(NamedTuple):
    """A thread's task: to read the batches of a buffer from `first` on."""

    first: int
    future: Future[None]


class _Buffer:
    """Memory for the batches of one call, and the threads' tasks that fill it."""

    def __init__(self, reader: PartReader, batch_size: int, longest: int) -> None:
        self.batches = reader.empty(longest, batch_size)
        self.step = -1
        """The step of the first batch."""
        self.requested = 0
        """How many batches have been read or are being read."""
        self.reads: list[_Read] = []

    def wait(self, count: int) -> None:
        """Waits for the first `count` batches."""
        while self.reads and self.reads[0].first < count:
            self.reads.pop(0).future.result()

    def read_well(self) -> int:
        """Waits for all batches, and gives how many there are before the first that can't be read.

        Whoever needs that one reads it again, and is told.
        """
        for read in self.reads:
            if read.future.exception() is not None:
                return read.first
        return self.requested

    def clear(self, step: int) -> None:
        """Cancels the reads, waits for those that already run, and begins anew at `step`."""
        for read in self.reads:
            read.future.cancel()
        for read in self.reads:
            if not read.future.cancelled():
                read.future.exception()
        self.step, self.requested, self.reads = step, 0, []


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
        self._goes_ahead = False

    @contextmanager
    def reading_ahead(self, step: int) -> Iterator[None]:
        """Within it, threads read what updates from `step` on take, though no call of them is made.

        Inputs that are kept once they are made are made beyond what memory holds, up to an epoch.
        """
        epoch = len(self._reader) // self._order.batch_size
        current, count = self._buffers[0], min(self.longest, epoch)
        current.clear(step)
        self._request(current, count)
        self._goes_ahead = True
        first, stop = step + count, step + epoch
        for ahead in range(first, min(first + READERS, stop)):
            self._pool.submit(self._keep, ahead, stop)
        try:
            yield
        finally:
            self._goes_ahead = False

    def _keep(self, step: int, stop: int) -> None:
        """Has the examples of an update made, and of each that is `READERS` further on."""
        if not self._goes_ahead or step >= stop:
            return
        try:
            goes_on = self._reader.keep(self._indices(step, 1))
        except Refused:  # whoever reads them is told
            goes_on = True
        if goes_on:
            with suppress(RuntimeError):  # the process ends
                self._pool.submit(self._keep, step + READERS, stop)

    def take(self, step: int, count: int, rows: int) -> Batch:
        """The batches of updates `step` to `step + count - 1`, in arrays `[rows, batch_size, ...]`.

        Raises:
            Refused: when an example can't be read or learnt from.
        """
        current, following = self._buffers
        if not count:  # a program is made, which shapes are enough for
            return current.batches.map(lambda array: array[:rows])
        if current.step != step or (current.requested > count > current.read_well()):
            current.clear(step)  # what was read ahead may have ended at an example of a later call
        self._request(current, count)
        current.wait(count)
        following.clear(step + count)
        if (spare := current.read_well() - count) > 0:
            read = current.batches.distinct()
            for array, ahead in zip(read, following.batches.distinct(), strict=True):
                ahead[:spare] = array[count : count + spare]
            following.requested = spare
        self._request(following, count)
        self._buffers.reverse()
        current.step = -1
        return current.batches.map(lambda array: array[:rows])

    def _indices(self, step: int, count: int) -> NDArray[Any]:
        """The numbers of the examples of some updates, `[n]`."""
        with self._order_lock:  # or each thread would draw an epoch's permutation by itself
            return self._order.indices(step, count).ravel()

    def _request(self, buffer: _Buffer, count: int) -> None:
        """Lets threads read those of a buffer's first `count` batches that it lacks."""
        while buffer.requested < count:
            first = buffer.requested
            stop = min(count, first + self._batches_per_read)
            future = self._pool.submit(self._read, buffer, first, stop)
            buffer.reads.append(_Read(first, future))
            buffer.requested = stop

    def _read(self, buffer: _Buffer, first: int, stop: int) -> None:
        row_index = self._indices(buffer.step + first, stop - first)
        self._reader.fill(row_index, buffer.batches.map(lambda array: array[first:stop]))
