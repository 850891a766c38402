"""When something recurs: every so many steps, as an exact fraction."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil


@dataclass(frozen=True)
class Cadence:
    """Recurs at the first whole step at or after each multiple of `every`, and at `end`.

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
        """Whether it recurs once `step` updates are done."""
        return step > 0 and self.next(step - 1) == step

    def within(self, after: int, until: int) -> list[int]:
        """The steps from `after + 1` to `until` that are due."""
        if self.every <= 1:
            return list(range(after + 1, min(until, self.end) + 1))
        p, q = self.every.as_integer_ratio()
        first, last = after * q // p + 1, min(until, self.end - 1) * q // p
        steps = [-(-k * p // q) for k in range(first, last + 1)]
        return [*steps, self.end] if after < self.end <= until else steps

    def next(self, step: int) -> int:
        """The first due step after `step`."""
        return min(self.end, ceil((step // self.every + 1) * self.every))

    def last(self, step: int) -> int:
        """The last due step up to `step`, or 0."""
        return step if step == self.end else ceil(step // self.every * self.every)

    @property
    def longest(self) -> int:
        """The most steps from one due step to the next."""
        return min(self.end, ceil(self.every))

    def count(self, step: int) -> int:
        """How many multiples have passed by `step`; at the end, one that has only begun counts.

        >>> [Cadence(every=Fraction(5, 2), end=9).count(step) for step in (2, 3, 5, 8, 9)]
        [0, 1, 2, 3, 4]
        """
        has_begun_another = step == self.end and step % self.every > 0
        return int(step // self.every) + has_begun_another


@dataclass(frozen=True)
class Either:
    """Recurs whenever one of several cadences is due.

    >>> Either((Cadence(Fraction(4), 9), Cadence(Fraction(6), 9))).next(4)
    6
    """

    cadences: tuple[Cadence, ...]

    def due(self, step: int) -> bool:
        """Whether it recurs once `step` updates are done."""
        return any(cadence.due(step) for cadence in self.cadences)

    def next(self, step: int) -> int:
        """The first due step after `step`."""
        return min(cadence.next(step) for cadence in self.cadences)

    @property
    def longest(self) -> int:
        """An upper bound of the steps from one due step to the next."""
        return min(cadence.longest for cadence in self.cadences)

    def last(self, step: int) -> int:
        """The last due step up to `step`, or 0."""
        return max(cadence.last(step) for cadence in self.cadences)
