"""Exact moments: integer arithmetic for everything that decides a stair, a cycle or a part."""

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
    """Moments `ticks / per`, in steps since the zero of `clock`; a schedule's `t`.

    Steps are whole, but a part that begins after 859.375 steps sees moments between them. Ticks
    are integers, so `t // T` and comparisons are exact, while `t / T` is one rounded division. A
    moment's results do not depend on which other moments are asked for along with it. There is
    always at least one.
    """

    ticks: Integers
    per: int
    clock: Clock

    @classmethod
    def at(cls, steps: NDArray[np.int64], clock: Clock) -> Moments:
        return cls(steps, 1, clock)

    @classmethod
    def of(cls, moment: Fraction, clock: Clock) -> Moments:
        """A single moment."""
        return cls(_integers([moment.numerator]), moment.denominator, clock)

    def __len__(self) -> int:
        return len(self.ticks)

    def __getitem__(self, chosen: NDArray[Any]) -> Moments:
        return replace(self, ticks=self.ticks[chosen])

    def steps(self, length: Duration | Fraction) -> Fraction:
        """A duration on this clock; a number of steps stays what it is."""
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
        shared = gcd(factor.numerator, self.per)
        ticks = _times(self.ticks, factor.numerator // shared)
        return replace(self, ticks=ticks, per=self.per // shared * factor.denominator)

    def __floordiv__(self, length: Duration | Fraction) -> Integers:
        """How many whole lengths have passed, exactly."""
        over, under, _ = self._ratio(length)
        return over // under

    def __mod__(self, length: Duration | Fraction) -> Moments:
        """The moment since the last whole length, exactly."""
        over, under, per = self._ratio(length)
        return replace(self, ticks=over % under, per=per)

    def __truediv__(self, length: Duration | Fraction) -> Values:
        """How many lengths have passed, rounded once."""
        over, under, _ = self._ratio(length)
        return _quotient(over, under)

    def begun(self, length: Duration | Fraction) -> Integers:
        """How many lengths have begun, exactly: `t / length` rounded up."""
        over, under, _ = self._ratio(length)
        return -(-over // under)

    def progress(self, length: Duration | Fraction) -> Values:
        """`min(t, T) / T`: 0 at the start, exactly 1 from the end on."""
        return np.minimum(self / length, 1.0)

    def passed(self, boundaries: Sequence[Rational], *, inclusive: bool = True) -> NDArray[np.intp]:
        """How many of the ascending boundaries `b <= t` (or `b < t`) lie behind each moment."""
        if inclusive:
            return self._behind(Knots.at(boundaries, self.per).first)
        past = [b.numerator * self.per // b.denominator + 1 for b in boundaries]
        return self._behind(_integers(past))

    def along(self, knots: Knots) -> tuple[NDArray[np.intp], Values]:
        """Which interval `[knot i, knot i + 1)` each moment is in, and what share of it has passed.

        The share is exactly 0 at a knot. Before the first knot and after the last it is 0 too.
        """
        i = self._behind(knots.first) - 1
        inside = (i >= 0) & (i < len(knots.first) - 1)
        start, end = np.where(inside, i, 0), np.where(inside, i + 1, 0)
        first, lead = knots.first, knots.lead
        gone = _quotient(self.ticks - first[start], self.per) + lead[start]
        width = _quotient(first[end] - first[start], self.per) + lead[start] - lead[end]
        share = np.minimum(np.divide(gone, width, where=inside, out=np.zeros(len(self))), 1.0)
        return np.maximum(i, 0), share

    def whole(self) -> NDArray[np.int64]:
        """The step each moment falls in."""
        return np.asarray(_roomy(self.ticks, self.per) // self.per, dtype=np.int64)

    def on(self, clock: Clock) -> Moments:
        """The same moments read on another clock with the same zero."""
        return replace(self, clock=clock)

    def _behind(self, first: Integers) -> NDArray[np.intp]:
        if self.ticks.dtype == first.dtype:
            return np.searchsorted(first, self.ticks, side="right")
        return np.searchsorted(first.astype(object), self.ticks.astype(object), side="right")

    def _ratio(self, length: Duration | Fraction) -> tuple[Integers, int, int]:
        """`t` and `T` as integer numbers of ticks of `1 / per`, and that `per`."""
        T = self.steps(length)
        per = lcm(self.per, T.denominator)
        under = T.numerator * (per // T.denominator)
        return _roomy(_times(self.ticks, per // self.per), under), under, per


@dataclass(frozen=True)
class Knots:
    """Ascending exact positions, as the first tick at or after each and how far it lies ahead.

    However large the denominators of the positions, the ticks stay integers of ordinary size; a
    tick's distance from a position is an exact number of ticks plus a lead of less than one.
    """

    first: Integers
    lead: Values  # in steps

    @classmethod
    def at(cls, positions: Iterable[Rational], per: int) -> Knots:
        """Knots at `positions`, in steps, for ticks of `1 / per` of a step."""
        first, lead = [], []
        for position in positions:
            tick, missing = divmod(-position.numerator * per, position.denominator)
            first.append(-tick)
            lead.append(missing / (position.denominator * per))
        return cls(_integers(first), np.array(lead, dtype=np.float64))


_LIMIT = 2**62


def _integers(numbers: Sequence[int]) -> Integers:
    fits = all(-_LIMIT < number < _LIMIT for number in numbers)
    return np.array(numbers, dtype=np.int64 if fits else object)


def _quotient(over: Integers, under: int) -> Values:
    """`over / under`, each the float nearest to the exact quotient."""
    if max(_largest(over), under) < 2**53:
        return np.asarray(over, np.float64) / under  # both sides are exact in float64
    return np.asarray(over.astype(object) / under, np.float64)  # as Python divides its integers


def _roomy(ticks: Integers, largest: int) -> Integers:
    """The same ticks, as Python's own integers where `largest` would not fit into 64 bits."""
    return ticks.astype(object, copy=False) if largest >= _LIMIT else ticks


def _times(ticks: Integers, factor: int) -> Integers:
    return ticks if factor == 1 else _roomy(ticks, max(_largest(ticks), 1) * factor) * factor


def _minus(ticks: Integers, start: int) -> Integers:
    return _roomy(ticks, _largest(ticks) + abs(start)) - start


def _largest(ticks: Integers) -> int:
    """The largest magnitude; for Python's own integers, which have room for all, a limit."""
    return _LIMIT if ticks.dtype == object else max(-int(ticks.min()), int(ticks.max()))
