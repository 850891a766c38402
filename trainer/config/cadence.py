"""When something recurs: every so many steps, as an exact fraction."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from schedules.batch_sizes import BatchSizes


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

    With `batch_sizes`, `every` is a number of examples, and steps stay steps:

    >>> sizes = BatchSizes(((0, 2), (4, 4)))
    >>> [s for s in range(1, 10) if Cadence(every=Fraction(6), end=9, batch_sizes=sizes).due(s)]
    [3, 5, 7, 8, 9]
    """

    every: Fraction
    end: int
    batch_sizes: BatchSizes | None = None

    def due(self, step: int) -> bool:
        """Whether it recurs once `step` updates are done."""
        return step > 0 and self.next(step - 1) == step

    def within(self, after: int, until: int) -> list[int]:
        """The steps from `after + 1` to `until` that are due."""
        if self.every <= self._shortest:
            return list(range(after + 1, min(until, self.end) + 1))
        p, q = self.every.as_integer_ratio()
        first = self._position(after) * q // p + 1
        last = self._position(min(until, self.end - 1)) * q // p
        if self.batch_sizes:  # two multiples may fall into one update
            steps = list(dict.fromkeys(self._step(k * self.every) for k in range(first, last + 1)))
        else:
            steps = [-(-k * p // q) for k in range(first, last + 1)]
        return [*steps, self.end] if after < self.end <= until else steps

    def next(self, step: int) -> int:
        """The first due step after `step`."""
        multiple = (self._position(step) // self.every + 1) * self.every
        return min(self.end, self._step(multiple))

    def last(self, step: int) -> int:
        """The last due step up to `step`, or 0."""
        multiple = self._position(step) // self.every * self.every
        return step if step == self.end else self._step(multiple)

    @property
    def longest(self) -> int:
        """The most steps from one due step to the next."""
        return min(self.end, ceil(self.every / self._shortest))

    def count(self, step: int) -> int:
        """How many multiples have passed by `step`; at the end, one that has only begun counts.

        >>> [Cadence(every=Fraction(5, 2), end=9).count(step) for step in (2, 3, 5, 8, 9)]
        [0, 1, 2, 3, 4]
        """
        position = self._position(step)
        has_begun_another = step == self.end and position % self.every > 0
        return int(position // self.every) + has_begun_another

    @property
    def _shortest(self) -> int:
        """The least that an update adds to the position."""
        return min(size for _, size in self.batch_sizes.since) if self.batch_sizes else 1

    def _position(self, step: int) -> int:
        """Where `step` updates have come to, in the unit of `every`."""
        return self.batch_sizes.examples(step) if self.batch_sizes else step

    def _step(self, position: Fraction) -> int:
        """The first whole step at or after a position."""
        return ceil(self.batch_sizes.updates(position) if self.batch_sizes else position)


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
