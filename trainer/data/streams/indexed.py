"""Sources whose items have numbers: Keras' `PyDataset`, and `grain.MapDataset`."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from functools import cached_property
from typing import Any, ClassVar

from .source import Pass, Source


class PyDatasetSource(Source):
    """The batches of a `keras.utils.PyDataset`, pass after pass.

    What it does in `on_epoch_begin` and `on_epoch_end`, such as to shuffle, is done before each
    pass as often as `fit` would have, on a copy of what was given. With `workers` above 1 so many
    threads read the next batches, `max_queue_size` of them ahead, and they come in their order.
    """

    what: ClassVar[str] = "a PyDataset"
    rules: ClassVar[str] = "which must shuffle by a seed, if it does"

    def __init__(self, dataset: Any) -> None:
        """Raises:
        ValueError: when it is to be read by processes, saying so, with a hint after " / ".
        """
        import keras

        self._given = dataset
        self._workers, self._ahead = int(dataset.workers), int(dataset.max_queue_size)
        if dataset.use_multiprocessing and self._workers > 0:
            rule = "a PyDataset with use_multiprocessing=True, and threads read it"
            hint = f"use_multiprocessing=False, workers={max(self._workers, 2)}: as many threads"
            raise ValueError(f"{rule} / {hint}, in order")
        if self._workers > 1 and self._ahead < 1:
            rule = f"a PyDataset with max_queue_size={self._ahead}, which bounds nothing"
            raise ValueError(f"{rule} / max_queue_size=10, or any number of batches from 1 on")
        kind, plain = type(dataset), keras.utils.PyDataset
        hooks = ("on_epoch_begin", "on_epoch_end")
        self._changes = any(getattr(kind, hook) is not getattr(plain, hook) for hook in hooks)

    @property
    def how(self) -> str:
        return "index"

    @cached_property
    def examples(self) -> int | None:
        count = self._given.num_batches
        if not count:
            return None
        first, last = (_length(self._given[i]) for i in (0, count - 1))
        return int(first * (count - 1) + last)

    def open(self, number: int, seed: int) -> Pass:
        dataset = deepcopy(self._given) if self._changes else self._given
        if self._changes:
            for _ in range(number):
                dataset.on_epoch_begin()
                dataset.on_epoch_end()
            dataset.on_epoch_begin()
        if self._workers > 1:
            return ThreadedPass(dataset, dataset.num_batches, self._workers, self._ahead)
        return IndexedPass(dataset, dataset.num_batches)

    def described(self) -> str:
        threads = f"; {self._workers} threads read it" if self._workers > 1 else ""
        return f"{super().described()}{threads}"


class MapDatasetSource(Source):
    """The items of a `grain.MapDataset`, which shuffles by seeds of its own."""

    what: ClassVar[str] = "a grain.MapDataset"

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    @property
    def how(self) -> str:
        return "index"

    def open(self, number: int, seed: int) -> Pass:
        return IndexedPass(self._dataset, len(self._dataset), number * len(self._dataset))


class IndexedPass(Pass):
    """Items by their numbers: `count` of them from `first` on, or without end."""

    def __init__(self, items: Any, count: int | None, first: int = 0) -> None:
        self._items, self._count, self._first, self._next = items, count, first, 0

    @property
    def is_over(self) -> bool:
        """Whether there is no next item."""
        return self._count is not None and self._next >= self._count

    def next(self) -> Any:
        if self.is_over:
            raise StopIteration
        item = self._items[self._first + self._next]
        self._next += 1
        return item

    def skip(self, items: int) -> None:
        self._next += items


class ThreadedPass(IndexedPass):
    """The same items in the same order, the next ones of which threads read ahead."""

    def __init__(self, items: Any, count: int | None, threads: int, ahead: int) -> None:
        super().__init__(items, count)
        self._ahead = max(threads, ahead)
        self._reads: deque[Future[Any]] = deque()
        self._pool = ThreadPoolExecutor(threads, "reading batches")

    def next(self) -> Any:
        while len(self._reads) < self._ahead and not self.is_over:
            self._reads.append(self._pool.submit(self._items.__getitem__, self._next))
            self._next += 1
        if not self._reads:
            self.close()
            raise StopIteration
        return self._reads.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _length(item: Any) -> int:
    """How many examples a batch has."""
    while isinstance(item, (tuple, list, dict)):
        item = next(iter(item.values())) if isinstance(item, dict) else item[0]
    return len(item)
