"""When something recurs: after every so many steps, counted exactly."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil


@dataclass(frozen=True)
class Cadence:
    """What happens at the first whole step after each multiple of `every`, and at `end`.

    >>> daily = Cadence(every=Fraction(5, 2), end=9)
    >>> [step for step in range(1, 10) if daily.due(step)]
    [3, 5, 8, 9]
    >>> daily.next(5), daily.next(8)
    (8, 9)
    """

    every: Fraction
    end: int

    def due(self, step: int) -> bool:
        """Whether it happens once `step` updates are done."""
        return step > 0 and self.next(step - 1) == step

    def next(self, step: int) -> int:
        """The first time after `step`."""
        return min(self.end, ceil((step // self.every + 1) * self.every))
