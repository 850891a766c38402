"""Batches read by threads before they are asked for."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

from ..examples import Examples
from ..inputs import Inputs, Subset
from ..on_disk import unwrapped
from ..preparation import Preparation
from .order import ExampleOrder

READERS = max(2, min(8, os.cpu_count() or 2))
"""Threads that read: more than the cores are of use where a disk lets wait."""
TASK_BYTES = 2**20
"""What a thread reads at a time: enough to be worth handing over."""


class Source:
    """The examples of one part as they are handed to a device: raw where it can prepare them."""

    def __init__(self, name: str, examples: Examples) -> None:
        self.name = name
        self.labels = examples.labels
        raw, preparation = unwrapped(examples.inputs)
        self._raw: Inputs = raw
        self._looks = preparation is not None and raw.dtype.kind == "f"
        wide = np.result_type(raw.dtype, np.float32) != np.float32
        self._here = preparation if wide else None
        """Numbers that need float64 to be prepared are prepared on the host."""
        self.preparation: Preparation | None = None if wide else preparation
        """What the device has to do."""
        self.shape = tuple(examples.inputs.shape[1:]) if wide else tuple(raw.shape[1:])
        self.dtype = np.dtype(np.float32) if wide else raw.dtype.newbyteorder("=")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """What one example takes."""
        label = self.labels.dtype.itemsize * int(np.prod(self.labels.shape[1:]))
        return self.dtype.itemsize * int(np.prod(self.shape)) + label

    def fill(self, numbers: NDArray[Any], inputs: NDArray[Any], labels: NDArray[Any]) -> None:
        """Puts the examples of some numbers into arrays.

        Raises:
            Refused: when one is not finite, or can't be read.
        """
        np.take(self.labels, numbers, axis=0, out=labels, mode="clip")
        raw: Any = self._raw
        which = numbers
        if isinstance(raw, Subset):
            raw, which = raw.inputs, raw.numbers[which]
        if self._here is not None:
            inputs[...] = self._here.apply(raw[which])
        elif isinstance(raw, np.ndarray) and raw.dtype == self.dtype:
            np.take(raw, which, axis=0, out=inputs, mode="clip")
        else:
            inputs[...] = raw[which]
        if self._looks and not np.isfinite(inputs).all():
            odd = ~np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
            rule = f"has a value that is not finite, in example {numbers[odd.argmax()]}"
            hint = "clean the data; training would only spread it"
            raise refuse(f"data.{self.name}", ABSENT, rule, hint)


class _Block:
    """Room for the batches of a call, and what of it is being read."""

    def __init__(self, source: Source, batch_size: int, longest: int) -> None:
        shape = (longest, batch_size)
        self.inputs = np.empty((*shape, *source.shape), source.dtype)
        self.labels = np.empty((*shape, *source.labels.shape[1:]), source.labels.dtype)
        self.step = -1
        self.asked = 0
        self.reads: list[tuple[int, Future[None]]] = []

    def wait(self, count: int) -> None:
        """Waits for the first `count` batches."""
        while self.reads and self.reads[0][0] < count:
            self.reads.pop(0)[1].result()

    def clear(self, step: int) -> None:
        for _, read in self.reads:
            read.cancel()
        for _, read in self.reads:
            if not read.cancelled():
                read.exception()
        self.step, self.asked, self.reads = step, 0, []


class Batches(NamedTuple):
    """The batches of some updates: `[count, batch_size, ...]`."""

    inputs: NDArray[Any]
    labels: NDArray[Any]


class Ahead:
    """The batches of a stream, the next ones being read while those before are learnt from.

    Which examples an update takes is the stream's to say, so there is nothing to be restored:
    asking for another step than the next one only costs the wait. What is given is overwritten by
    the call after the next, so memory is that of two calls, for ever.
    """

    def __init__(self, source: Source, stream: ExampleOrder, longest: int) -> None:
        self._source = source
        self._stream = stream
        self.longest = longest
        self._blocks = [_Block(source, stream.batch_size, longest) for _ in range(2)]
        self._pool = ThreadPoolExecutor(READERS, "reading")
        self._order = Lock()
        batch = source.bytes * stream.batch_size
        self._at_once = max(1, TASK_BYTES // batch)

    def take(self, step: int, count: int, rows: int) -> Batches:
        """The batches of updates `step` to `step + count - 1`, in arrays of `rows` of them.

        Raises:
            Refused: when an example can't be read or learnt from.
        """
        block, after = self._blocks
        if block.step != step:
            block.clear(step)
        self._ask(block, count)
        block.wait(count)
        after.clear(step + count)
        if (spare := block.asked - count) > 0:
            block.wait(block.asked)
            after.inputs[:spare] = block.inputs[count : block.asked]
            after.labels[:spare] = block.labels[count : block.asked]
            after.asked = spare
        self._ask(after, count)
        self._blocks.reverse()
        block.step = -1
        return Batches(block.inputs[:rows], block.labels[:rows])

    def _ask(self, block: _Block, count: int) -> None:
        """Has threads read what is still missing of the first `count` batches of a block."""
        while block.asked < count:
            first, stop = block.asked, min(count, block.asked + self._at_once)
            read = self._pool.submit(self._read, block, first, stop)
            block.reads.append((first, read))
            block.asked = stop

    def _read(self, block: _Block, first: int, stop: int) -> None:
        with self._order:  # or each thread would draw an epoch's permutation by itself
            numbers = self._stream.indices(block.step + first, stop - first).ravel()
        inputs, labels = block.inputs[first:stop], block.labels[first:stop]
        self._source.fill(
            numbers,
            inputs.reshape(-1, *self._source.shape),
            labels.reshape(-1, *self._source.labels.shape[1:]),
        )
