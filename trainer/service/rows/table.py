"""The rows of one sort as columns, and their division into buckets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .buckets import COARSE, Buckets, CoarseBuckets, Steps, Values, bucket_width, bucketed
from .parsing import Block
from .smoothing import smoothed

PADDING = 1 << 16
"""How many rows are filled at once where a name comes late."""


class Growing(Protocol):
    """An array that grows at its end."""

    @property
    def bytes(self) -> int:
        """The memory that it takes."""

    def append(self, values: NDArray[Any]) -> None:
        """Adds values at the end."""

    def values(self) -> NDArray[Any]:
        """All values."""


Make = Callable[[str, Any, int], Growing]
"""Gives an array by a name and a type, with so many values that it has already."""


class Table:
    """The rows of one sort, in the order in which they were written."""

    def __init__(self, make: Make, names: Sequence[str] = (), rows: int = 0) -> None:
        """Begins empty, or with so many rows that the columns have which `make` finds again."""
        self._make = make
        self._steps = make("step", np.int64, rows)
        self._columns = {name: make(name, np.float64, rows) for name in names}
        self._coarse: dict[str, CoarseBuckets] = {}
        self.rows = rows
        steps = self._steps.values()
        self._last_step = int(steps[-1]) if rows else -1
        self.is_sorted = not (np.diff(steps) < 0).any()
        """Whether no step is smaller than the one before it."""

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    @property
    def bytes(self) -> int:
        return self._steps.bytes + sum(column.bytes for column in self._columns.values())

    def block(self) -> Block:
        """All rows."""
        columns = {name: column.values() for name, column in self._columns.items()}
        return Block(self._steps.values(), columns)

    def append(self, block: Block) -> None:
        """Adds rows at the end; where one has no value of a name, there is NaN.

        Raises:
            OSError: when the disk refuses.
        """
        count = len(block.steps)
        if not count:
            return
        for name in [name for name in block.columns if name not in self._columns]:
            column = self._columns[name] = self._make(name, np.float64, 0)
            for begin in range(0, self.rows, PADDING):
                column.append(np.full(min(PADDING, self.rows - begin), np.nan))
        for name, column in self._columns.items():
            values = block.columns.get(name)
            column.append(np.full(count, np.nan) if values is None else values)
        falls = (np.diff(block.steps) < 0).any() or block.steps[0] < self._last_step
        self.is_sorted = self.is_sorted and not falls
        self._steps.append(block.steps)
        self._last_step = int(block.steps[-1])
        self.rows += count

    def series(
        self, name: str, begin: int | None = None, end: int | None = None
    ) -> tuple[Steps, Values]:
        """The steps from `begin` up to `end`, and the values there, without rows that have none."""
        steps, values = self._window(name, begin, end)
        there = ~np.isnan(values)
        return (steps, values) if there.all() else (steps[there], values[there])

    def buckets(
        self, name: str, points: int, begin: int | None = None, end: int | None = None
    ) -> Buckets:
        """A series in at most about `points` buckets, or single values where there are as few.

        The width is a power of two and edges are multiples of it, so that buckets stay the same
        while a series grows, and when one looks closer and back again.
        """
        steps, values = self._steps.values()[: self.rows], self._columns[name].values()[: self.rows]
        if not self.is_sorted:
            inside = self._inside(begin, end)
            found = bucketed(steps[inside], values[inside], points)
            return replace(found, ends=np.flatnonzero(inside)[found.ends])
        low, high = self._range(begin, end)
        width = bucket_width(high - low, points)
        if width < COARSE:
            return bucketed(steps[low:high], values[low:high], points, low)
        coarse = self._coarse.setdefault(name, CoarseBuckets())
        coarse.extend(values)
        return coarse.buckets(steps, values, low, high, width)

    def smoothed(self, name: str, buckets: Buckets, weight: float) -> Values:
        """The running mean over all rows, at the last row of each bucket."""
        return smoothed(self._columns[name].values()[: self.rows], weight, buckets.ends)

    def _range(self, begin: int | None, end: int | None) -> tuple[int, int]:
        """The indices of the rows with these steps, where steps are sorted."""
        steps = self._steps.values()[: self.rows]
        low = 0 if begin is None else int(np.searchsorted(steps, begin, "left"))
        high = self.rows if end is None else int(np.searchsorted(steps, end, "left"))
        return low, max(low, high)

    def _window(self, name: str, begin: int | None, end: int | None) -> tuple[Steps, Values]:
        steps, values = self._steps.values()[: self.rows], self._columns[name].values()[: self.rows]
        if self.is_sorted:
            low, high = self._range(begin, end)
            return steps[low:high], values[low:high]
        inside = self._inside(begin, end)
        return steps[inside], values[inside]

    def _inside(self, begin: int | None, end: int | None) -> NDArray[np.bool_]:
        """Which rows have steps from `begin` up to `end`."""
        steps = self._steps.values()[: self.rows]
        inside = np.ones(len(steps), bool)
        if begin is not None:
            inside &= steps >= begin
        if end is not None:
            inside &= steps < end
        return inside
