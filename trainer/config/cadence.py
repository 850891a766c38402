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
    >>> daily.within(0, 8)
    [3, 5, 8]
    >>> daily.next(5), daily.next(8), daily.last(7)
    (8, 9, 5)
    """

    every: Fraction
    end: int

    def due(self, step: int) -> bool:
        """Whether it happens once `step` updates are done."""
        return step > 0 and self.next(step - 1) == step

    def within(self, after: int, until: int) -> list[int]:
        """Every time from `after + 1` to `until`: what `due` says of each, for many at once."""
        if self.every <= 1:
            return list(range(after + 1, min(until, self.end) + 1))
        p, q = self.every.as_integer_ratio()
        first, last = after * q // p + 1, min(until, self.end - 1) * q // p
        found = [-(-k * p // q) for k in range(first, last + 1)]
        return [*found, self.end] if after < self.end <= until else found

    def next(self, step: int) -> int:
        """The first time after `step`."""
        return min(self.end, ceil((step // self.every + 1) * self.every))

    def last(self, step: int) -> int:
        """The last time up to `step`, or 0."""
        return step if step == self.end else ceil(step // self.every * self.every)

    @property
    def longest(self) -> int:
        """The most steps from one time to the next."""
        return min(self.end, ceil(self.every))

    def count(self, step: int) -> int:
        """How many multiples have passed by `step`; at the end, one that was only begun counts.

        >>> [Cadence(every=Fraction(5, 2), end=9).count(step) for step in (2, 3, 5, 8, 9)]
        [0, 1, 2, 3, 4]
        """
        begun = step == self.end and step % self.every > 0
        return int(step // self.every) + begun


@dataclass(frozen=True)
class Either:
    """What happens whenever one of several is due.

    >>> Either((Cadence(Fraction(4), 9), Cadence(Fraction(6), 9))).next(4)
    6
    """

    cadences: tuple[Cadence, ...]

    def due(self, step: int) -> bool:
        """Whether it happens once `step` updates are done."""
        return any(cadence.due(step) for cadence in self.cadences)

    def next(self, step: int) -> int:
        """The first time after `step`."""
        return min(cadence.next(step) for cadence in self.cadences)

    @property
    def longest(self) -> int:
        """The most steps from one time to the next; it may be less."""
        return min(cadence.longest for cadence in self.cadences)

    def last(self, step: int) -> int:
        """The last time up to `step`, or 0."""
        return max(cadence.last(step) for cadence in self.cadences)
