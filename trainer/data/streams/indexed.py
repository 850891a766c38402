"""Sources whose items have numbers: Keras' `PyDataset`, and `grain.MapDataset`."""

from __future__ import annotations

from copy import deepcopy
from functools import cached_property
from typing import Any, ClassVar

from .source import Pass, Source


class PyDatasetSource(Source):
    """The batches of a `keras.utils.PyDataset`, pass after pass.

    What it does in `on_epoch_begin` and `on_epoch_end`, such as to shuffle, is done before each
    pass as often as `fit` would have, on a copy of what was given. One thread reads it, whatever
    `workers` says.
    """

    what: ClassVar[str] = "a PyDataset"
    rules: ClassVar[str] = "which must shuffle by a seed, if it does"

    def __init__(self, dataset: Any) -> None:
        import keras

        self._given = dataset
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
        return IndexedPass(dataset, dataset.num_batches)


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

    def next(self) -> Any:
        if self._count is not None and self._next >= self._count:
            raise StopIteration
        item = self._items[self._first + self._next]
        self._next += 1
        return item

    def skip(self, items: int) -> None:
        self._next += items


def _length(item: Any) -> int:
    """How many examples a batch has."""
    while isinstance(item, (tuple, list, dict)):
        item = next(iter(item.values())) if isinstance(item, dict) else item[0]
    return len(item)
