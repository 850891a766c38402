"""Exact moments: integer arithmetic decides which stair, cycle or part a step is in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .clock import Clock, Duration

Values = NDArray[np.float64]
Integers = NDArray[Any]  # int64, or Python integers where 64 bits would not hold them

STEP = Fraction(1)


class Rational(Protocol):
    """An exact number, in lowest terms or not."""

    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...


@dataclass(frozen=True)
class Moments:
    """The `t` of a schedule: moments `ticks / per`, in steps since step 0 of `clock`.

    Steps are whole, but a part that begins after 859.375 steps sees moments between them. Ticks
    are integers, so `t // T` and comparisons are exact, while `t / T` is one rounded division.
    The result for a moment does not depend on the other moments in the array. The array is never
    empty.
    """

    ticks: Integers
    per: int
    clock: Clock

    @classmethod
    def at(cls, steps: NDArray[np.int64], clock: Clock) -> Moments:
        return cls(steps, 1, clock)

    @classmethod
    def single(cls, moment: Fraction, clock: Clock) -> Moments:
        """An array of a single moment."""
        return cls(_integers([moment.numerator]), moment.denominator, clock)

    def __len__(self) -> int:
        return len(self.ticks)

    def __getitem__(self, index: NDArray[Any]) -> Moments:
        return replace(self, ticks=self.ticks[index])

    def steps(self, length: Duration | Fraction) -> Fraction:
        """The steps that `length` takes on this clock; a number of steps is returned unchanged."""
        return length if isinstance(length, Fraction) else self.clock.steps(length)

    def __sub__(self, start: Fraction) -> Moments:
        per = lcm(self.per, start.denominator)
        ticks = _times(self.ticks, per // self.per)
        if start:
            ticks = _minus(ticks, start.numerator * (per // start.denominator))
        return replace(self, ticks=ticks, per=per)

    def __add__(self, length: Fraction | int) -> Moments:
        return self - -Fraction(length)

    def __mul__(self, factor: Fraction) -> Moments:
        divisor = gcd(factor.numerator, self.per)
        ticks = _times(self.ticks, factor.numerator // divisor)
        return replace(self, ticks=ticks, per=self.per // divisor * factor.denominator)

    def __floordiv__(self, length: Duration | Fraction) -> Integers:
        """How many whole lengths have passed, exactly."""
        numerator, denominator, _ = self._ratio(length)
        return numerator // denominator

    def __mod__(self, length: Duration | Fraction) -> Moments:
        """The moment since the last whole length, exactly."""
        numerator, denominator, per = self._ratio(length)
        return replace(self, ticks=numerator % denominator, per=per)

    def __truediv__(self, length: Duration | Fraction) -> Values:
        """How many lengths have passed, rounded once."""
        numerator, denominator, _ = self._ratio(length)
        return _quotient(numerator, denominator)

    def ceil_div(self, length: Duration | Fraction) -> Integers:
        """`t / length` rounded up, exactly: how many lengths have begun."""
        numerator, denominator, _ = self._ratio(length)
        return -(-numerator // denominator)

    def progress(self, length: Duration | Fraction) -> Values:
        """`min(t, T) / T`: 0 at the start, exactly 1 from the end on."""
        return np.minimum(self / length, 1.0)

    def passed(self, boundaries: Sequence[Rational], *, inclusive: bool = True) -> NDArray[np.intp]:
        """How many ascending boundaries each moment has passed: `b <= t`, or else `b < t`."""
        if inclusive:
            return self._count_reached(Knots.at(boundaries, self.per).first)
        first_after = [b.numerator * self.per // b.denominator + 1 for b in boundaries]
        return self._count_reached(_integers(first_after))

    def locate(self, knots: Knots) -> tuple[NDArray[np.intp], Values]:
        """Which interval `[knot i, knot i + 1)` each moment is in, and what share of it has passed.

        The share is exactly 0 at a knot. Before the first knot and after the last it is 0 too.
        """
        i = self._count_reached(knots.first) - 1
        inside = (i >= 0) & (i < len(knots.first) - 1)
        start, end = np.where(inside, i, 0), np.where(inside, i + 1, 0)
        first, lead = knots.first, knots.lead
        elapsed = _quotient(self.ticks - first[start], self.per) + lead[start]
        width = _quotient(first[end] - first[start], self.per) + lead[start] - lead[end]
        share = np.minimum(np.divide(elapsed, width, where=inside, out=np.zeros(len(self))), 1.0)
        return np.maximum(i, 0), share

    def floor_steps(self) -> NDArray[np.int64]:
        """The step that each moment falls in."""
        return np.asarray(_widened(self.ticks, self.per) // self.per, dtype=np.int64)

    def on(self, clock: Clock) -> Moments:
        """The same moments with another clock, whose step 0 is the same."""
        return replace(self, clock=clock)

    def _count_reached(self, boundaries: Integers) -> NDArray[np.intp]:
        """How many of the ascending boundaries, in ticks, are at or before each moment."""
        if self.ticks.dtype == boundaries.dtype:
            return np.searchsorted(boundaries, self.ticks, side="right")
        return np.searchsorted(boundaries.astype(object), self.ticks.astype(object), side="right")

    def _ratio(self, length: Duration | Fraction) -> tuple[Integers, int, int]:
        """`t` and `T` as integer numbers of ticks of `1 / per`, and that `per`."""
        T = self.steps(length)
        per = lcm(self.per, T.denominator)
        length_ticks = T.numerator * (per // T.denominator)
        ticks = _widened(_times(self.ticks, per // self.per), length_ticks)
        return ticks, length_ticks, per


@dataclass(frozen=True)
class Knots:
    """Ascending exact positions, each as the first tick at or after it and that tick's lead.

    The ticks stay integers of ordinary size, however large the denominators of the positions are.
    The distance from a position to a tick is a whole number of ticks plus a lead below one tick.
    """

    first: Integers
    """The first tick at or after each position."""
    lead: Values
    """How far that tick lies after the position, in steps."""

    @classmethod
    def at(cls, positions: Iterable[Rational], per: int) -> Knots:
        """Knots at `positions`, in steps, for ticks of `1 / per` of a step."""
        first, lead = [], []
        for position in positions:
            negative_tick, remainder = divmod(-position.numerator * per, position.denominator)
            first.append(-negative_tick)
            lead.append(remainder / (position.denominator * per))
        return cls(_integers(first), np.array(lead, dtype=np.float64))


_LIMIT = 2**62
"""Numbers below this are kept in 64 bits, larger ones as Python's own integers."""


def _integers(numbers: Sequence[int]) -> Integers:
    fits = all(-_LIMIT < number < _LIMIT for number in numbers)
    return np.array(numbers, dtype=np.int64 if fits else object)


def _quotient(numerator: Integers, denominator: int) -> Values:
    """`numerator / denominator`, each the float nearest to the exact quotient."""
    if max(_largest(numerator), denominator) < 2**53:
        return np.asarray(numerator, np.float64) / denominator  # both are exact in float64
    return np.asarray(numerator.astype(object) / denominator, np.float64)  # Python's own division


def _widened(ticks: Integers, largest: int) -> Integers:
    """The same ticks, as Python's own integers where `largest` would not fit into 64 bits."""
    return ticks.astype(object, copy=False) if largest >= _LIMIT else ticks


def _times(ticks: Integers, factor: int) -> Integers:
    return ticks if factor == 1 else _widened(ticks, max(_largest(ticks), 1) * factor) * factor


def _minus(ticks: Integers, start: int) -> Integers:
    return _widened(ticks, _largest(ticks) + abs(start)) - start


def _largest(ticks: Integers) -> int:
    """The largest magnitude; `_LIMIT` for Python's own integers, which can't overflow."""
    return _LIMIT if ticks.dtype == object else max(-int(ticks.min()), int(ticks.max()))
