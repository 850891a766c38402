"""A series divided into buckets of consecutive rows: what a screen can show of it, and no lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COARSE = 256
"""How many rows a bucket has of which the numbers are kept, so that long series are quick."""

Steps = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Buckets:
    """Consecutive rows of a series, `width` in each bucket but the first and the last, of one."""

    first: Steps
    """The first step of each."""
    until: Steps
    """The last step of each."""
    lowest: Values
    highest: Values
    mean: Values
    last: Values
    not_finite: NDArray[np.int64]
    """How many values of each were not finite; the numbers are those of the others, or NaN."""
    width: int
    rows: int
    """How many values there are in all of them."""
    ends: NDArray[np.int64]
    """The number of the last row of each."""

    def where(self, chosen: NDArray[np.bool_]) -> Buckets:
        """Some of them."""
        names = ("first", "until", "lowest", "highest", "mean", "last", "not_finite", "ends")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})


class Numbers(NamedTuple):
    """What is worked out of each bucket: of its finite values, and how many it has."""

    lowest: Values
    highest: Values
    total: Values
    finite: NDArray[np.int64]
    not_finite: NDArray[np.int64]

    def each(self, change: Callable[[NDArray[np.generic]], NDArray[np.generic]]) -> Numbers:
        """Every array changed in the same way."""
        return Numbers(*map(change, self))  # type: ignore[arg-type]

    def merged(self, begins: NDArray[np.int64]) -> Numbers:
        """Those of larger buckets, by the places at which they begin."""
        return Numbers(
            np.fmin.reduceat(self.lowest, begins),
            np.fmax.reduceat(self.highest, begins),
            np.add.reduceat(self.total, begins),
            np.add.reduceat(self.finite, begins),
            np.add.reduceat(self.not_finite, begins),
        )

    def of(
        self, steps: Steps, values: Values, edges: NDArray[np.int64], width: int, offset: int
    ) -> Buckets:
        """The buckets of rows that begin at `edges`; the first row has the number `offset`."""
        until = np.append(edges, len(steps))[1:] - 1  # none where there is no row
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.finite
        last = _last(values, edges, until)
        rows = int(self.finite.sum() + self.not_finite.sum())
        return Buckets(steps[edges], steps[until], self.lowest, self.highest, mean, last,
                       self.not_finite, width, rows, until + offset)  # fmt: skip


def bucketed(steps: Steps, values: Values, points: int, offset: int = 0) -> Buckets:
    """Divides rows into at most about `points` buckets.

    NaN stands for no value, and an infinity for one that was not finite. The first row is row
    `offset` of a longer series, of whose row numbers the edges are multiples.
    """
    width = bucket_width(len(steps), points)
    edges = _edges(offset, offset + len(steps), width) - offset
    return _numbers(values, edges).of(steps, values, edges, width, offset)


def bucket_width(rows: int, points: int) -> int:
    """The least power of two with which so many rows make at most `points` buckets.

    >>> bucket_width(1000, 1000), bucket_width(1001, 1000), bucket_width(0, 10)
    (1, 2, 1)
    """
    needed = -(-rows // points)
    return 1 << max(0, needed - 1).bit_length()


class CoarseBuckets:
    """The numbers of every `COARSE` rows of a column, extended as it grows."""

    def __init__(self) -> None:
        none, nothing = np.empty(0), np.empty(0, np.int64)
        self._numbers = Numbers(none, none, none, nothing, nothing)

    def extend(self, values: Values) -> None:
        """Works out the numbers of rows that are new."""
        done, whole = len(self._numbers.finite), len(values) // COARSE
        if whole > done:
            part = values[done * COARSE : whole * COARSE]
            new = _numbers(part, np.arange(0, len(part), COARSE))
            self._numbers = _joined(self._numbers, new)

    def buckets(self, steps: Steps, values: Values, low: int, high: int, width: int) -> Buckets:
        """Buckets of a width of `COARSE` or more over the rows from `low` up to `high`."""
        edges = _edges(low, high, width)
        ends = np.append(edges[1:], high)
        whole = np.flatnonzero((edges % COARSE == 0) & (ends % COARSE == 0))
        if not len(whole):
            numbers = _numbers(values[low:high], edges - low)
            return numbers.of(steps[low:high], values[low:high], edges - low, width, low)
        first, behind = whole[0], whole[-1] + 1  # they follow each other
        begin, end = edges[first] // COARSE, ends[behind - 1] // COARSE
        inner = self._numbers.each(lambda array: array[begin:end])
        before, after = edges[:first], edges[behind:]
        start = edges[first]
        parts = [inner.merged(edges[first:behind] // COARSE - begin)]
        if len(before):
            parts.insert(0, _numbers(values[low:start], before - low))
        if len(after):
            parts.append(_numbers(values[after[0] : high], after - after[0]))
        numbers = parts[0]
        for part in parts[1:]:
            numbers = _joined(numbers, part)
        return numbers.of(steps[low:high], values[low:high], edges - low, width, low)


def _edges(low: int, high: int, width: int) -> NDArray[np.int64]:
    """Where buckets begin; the first and the last row are buckets of their own."""
    if high <= low:
        return np.empty(0, np.int64)
    inner = np.arange(-(-(low + 1) // width) * width, high - 1, width, dtype=np.int64)
    ends = np.array([low, min(low + 1, high - 1), high - 1], np.int64)
    return np.unique(np.concatenate([ends, inner]))


def _numbers(values: Values, edges: NDArray[np.int64]) -> Numbers:
    """The numbers of buckets that begin at `edges`, the first of which is 0."""
    if not len(edges):
        none, nothing = np.empty(0), np.empty(0, np.int64)
        return Numbers(none, none, none, nothing, nothing)
    finite = np.isfinite(values)
    if finite.all():
        return Numbers(
            np.minimum.reduceat(values, edges),
            np.maximum.reduceat(values, edges),
            np.add.reduceat(values, edges),
            np.diff(np.append(edges, len(values))),
            np.zeros(len(edges), np.int64),
        )
    count = np.add.reduceat(finite.astype(np.int64), edges)
    lowest = np.minimum.reduceat(np.where(finite, values, np.inf), edges)
    highest = np.maximum.reduceat(np.where(finite, values, -np.inf), edges)
    return Numbers(
        np.where(count > 0, lowest, np.nan),
        np.where(count > 0, highest, np.nan),
        np.add.reduceat(np.where(finite, values, 0.0), edges),
        count,
        np.add.reduceat(np.isinf(values).astype(np.int64), edges),
    )


def _joined(first: Numbers, second: Numbers) -> Numbers:
    return Numbers(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))


def _last(values: Values, edges: NDArray[np.int64], until: NDArray[np.int64]) -> Values:
    """The last value of each bucket that is there; infinite where it was not finite."""
    last = values[until]
    for i in np.flatnonzero(np.isnan(last)):
        there = np.flatnonzero(~np.isnan(values[edges[i] : until[i] + 1]))
        if len(there):
            last[i] = values[edges[i] + there[-1]]
    return last
