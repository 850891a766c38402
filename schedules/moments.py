"""Exact moments: integer arithmetic for everything that decides a stair, a cycle or a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clock import Clock, Duration

Values = NDArray[np.float64]
Integers = NDArray[Any]  # int64, or Python integers where 64 bits would not hold them


@dataclass(frozen=True)
class Moments:
    """Moments `ticks / per`, in steps since the zero of `clock`; a schedule's `t`.

    Steps are whole, but a part that begins after 859.375 steps sees moments between them. Ticks
    are integers, so `t // T` and comparisons are exact, while `t / T` is one rounded division. A
    moment's results do not depend on which other moments are asked for along with it.
    """

    ticks: Integers
    per: int
    clock: Clock

    @classmethod
    def at(cls, steps: NDArray[np.int64], clock: Clock) -> Moments:
        return cls(steps, 1, clock)

    def __len__(self) -> int:
        return len(self.ticks)

    def __getitem__(self, chosen: NDArray[Any]) -> Moments:
        return replace(self, ticks=self.ticks[chosen])

    def steps(self, length: Duration | Fraction) -> Fraction:
        """A duration on this clock; a number of steps stays what it is."""
        return length if isinstance(length, Fraction) else self.clock.steps(length)

    def __sub__(self, start: Fraction) -> Moments:
        per = lcm(self.per, start.denominator)
        ticks = _times(self.ticks, per // self.per) - int(start * per)
        return replace(self, ticks=ticks, per=per)

    def __add__(self, length: Fraction | int) -> Moments:
        return self - -Fraction(length)

    def __floordiv__(self, length: Duration | Fraction) -> Integers:
        """How many whole lengths have passed, exactly."""
        over, under = self._ratio(length)
        return over // under

    def __mod__(self, length: Duration | Fraction) -> Moments:
        """The moment since the last whole length, exactly."""
        over, under = self._ratio(length)
        T = self.steps(length)
        return replace(self, ticks=over % under, per=self.per * T.denominator)

    def __truediv__(self, length: Duration | Fraction) -> Values:
        """How many lengths have passed, as the float nearest to the exact quotient."""
        over, under = self._ratio(length)
        return np.asarray(over.astype(np.float64) / float(under), dtype=np.float64)

    def progress(self, length: Duration | Fraction) -> Values:
        """`min(t, T) / T`: 0 at the start, exactly 1 from the end on."""
        return np.minimum(self / length, 1.0)

    def passed(self, boundaries: Sequence[Fraction], *, inclusive: bool = True) -> NDArray[np.intp]:
        """How many of the ascending boundaries `b <= t` (or `b < t`) lie behind each moment."""
        # For an integer tick, b <= tick / per says the same as ceil(b * per) <= tick.
        ends = [ceil(b * self.per) if inclusive else int(b * self.per // 1) + 1 for b in boundaries]
        limit = 2**62
        if self.ticks.dtype == np.int64 and all(end < limit for end in ends):
            return np.searchsorted(np.array(ends, np.int64), self.ticks, side="right")
        return np.searchsorted(np.array(ends, object), self.ticks.astype(object), side="right")

    def whole(self) -> NDArray[np.int64]:
        """The step each moment falls in."""
        return np.asarray(self.ticks // self.per, dtype=np.int64)

    def on(self, clock: Clock) -> Moments:
        """The same moments read on another clock with the same zero."""
        return replace(self, clock=clock)

    def _ratio(self, length: Duration | Fraction) -> tuple[Integers, int]:
        """`t / T` as integers over one positive integer."""
        T = self.steps(length)
        return _times(self.ticks, T.denominator), self.per * T.numerator


def _times(ticks: Integers, factor: int) -> Integers:
    """An exact product: Python's own integers take over where 64 bits would overflow."""
    if factor == 1 or not len(ticks):
        return ticks
    if ticks.dtype == np.int64 and int(np.abs(ticks).max()) * factor >= 2**62:
        ticks = ticks.astype(object)
    return ticks * factor
