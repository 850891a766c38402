"""Cycles that grow or shrink by a constant factor, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from math import ceil
from typing import NamedTuple

import numpy as np

from ..clock import Clock
from ..moments import Knots, Moments, Values

MAX_MARKS = 64
"""How many cycles a curve names in previews; more would only blacken a picture."""
PRECISION = 512
"""Starts of cycles are rounded to this many binary digits once their denominator has twice as many.

Denominators grow by that of `growth` in each cycle. A start with so large a denominator can't fall
on a tick any more, and an error of about 2**-500 would move it across one only by a coincidence.
"""


class CycleStart(NamedTuple):
    """Where a cycle begins, in steps: a fraction that is not reduced, since reducing is slow."""

    numerator: int
    denominator: int


def cycle_starts(first: Fraction, growth: Fraction, last: Fraction) -> Iterator[CycleStart]:
    """The starts of cycles; the first takes `first` steps, each next one `growth` times as long.

    Ends with the first start after `last`; it does not end where all starts come before `last`.
    """
    yield CycleStart(0, 1)
    start, length = CycleStart(first.numerator, first.denominator), first.numerator
    yield start
    while start.numerator * last.denominator <= last.numerator * start.denominator:
        length *= growth.numerator
        numerator = start.numerator * growth.denominator + length
        denominator = start.denominator * growth.denominator
        if denominator.bit_length() > 2 * PRECISION:
            length = (length << PRECISION) // denominator
            numerator = (numerator << PRECISION) // denominator
            denominator = 1 << PRECISION
        start = CycleStart(numerator, denominator)
        yield start


@lru_cache(maxsize=128)
def cached_cycle_starts(
    first: Fraction, growth: Fraction, last: Fraction
) -> tuple[CycleStart, ...]:
    """The starts of all cycles up to `last`, and of the next one."""
    return tuple(cycle_starts(first, growth, last))


@lru_cache(maxsize=128)
def cycle_knots(first: Fraction, growth: Fraction, last: Fraction, per: int) -> Knots:
    """The same starts as knots, for ticks of `1 / per`."""
    return Knots.at(cached_cycle_starts(first, growth, last), per)


def last_start_needed(t: Moments, first: Fraction, growth: Fraction) -> Fraction:
    """A bound on the starts of cycles that the moments `t` need, in steps.

    The largest moment is rounded up to a power of two, in ticks. Calls for neighbouring moments
    then share the cached starts. Cycles that shrink end before `first / (1 - growth)`.
    """
    last = Fraction(1 << int(t.ticks.max()).bit_length(), t.per)
    if growth > 1:
        return last
    limit = first / (1 - growth)
    return min(last, Fraction(ceil(limit * t.per) - 1, t.per))


def cycles(t: Moments, first: Fraction, growth: Fraction) -> tuple[Values, Values]:
    """Which cycle, `first * growth**i` long, each moment is in, and what share of it has passed.

    Cycles that shrink pile up before `first / (1 - growth)`; from there on, i is infinite and
    the share 1.
    """
    if growth == 1:
        return (t // first).astype(np.float64), (t % first) / first
    last = last_start_needed(t, first, growth)
    i, share = t.locate(cycle_knots(first, growth, last, t.per))
    if growth > 1:
        return i.astype(np.float64), share
    ended = t.passed([first / (1 - growth)]) > 0
    return np.where(ended, np.inf, i), np.where(ended, 1.0, share)


def cycle_marks(
    label: str, first: Fraction, growth: Fraction, clock: Clock
) -> Iterator[tuple[str, Fraction]]:
    """The starts of the cycles after the first, within the clock's span."""
    if clock.total_steps is None:
        return
    end = Fraction(clock.total_steps)
    for start in islice(cycle_starts(first, growth, end), 1, MAX_MARKS):
        moment = Fraction(*start)
        if moment < end:
            yield label, moment
