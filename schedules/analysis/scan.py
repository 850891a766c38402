"""One pass over the values of a curve: its range, and where something is wrong with a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from ..curve import Curve
from ..declaration.scalars import LEAST
from ..moments import Values
from .preview import SEEN, Limits, Look

Condition = Callable[[Values], NDArray[np.bool_]]


@dataclass
class Occurrences:
    """The steps at which a condition holds: their number, and the first with its value.

    In a run of more than `SEEN` steps the number is an estimate.
    """

    count: int = 0
    step: int = 0
    value: float = nan
    last_without: int = -1
    """The last step before the first, of those that were looked at; -1 where there is none."""

    def add(self, steps: NDArray[np.int64], values: Values, holds: NDArray[np.bool_]) -> None:
        """Counts the steps at which the condition `holds`; later calls have later steps."""
        indices = np.flatnonzero(holds)
        if not self.count:
            first = int(indices[0]) if indices.size else len(steps)
            if first:
                self.last_without = int(steps[first - 1])
            if indices.size:
                self.step, self.value = int(steps[first]), float(values[first])
        self.count += indices.size

    def find_first(self, curve: Curve, condition: Condition) -> None:
        """Goes back to where the condition begins to hold, among steps not looked at so far."""
        while self.count and self.last_without < self.step - 1:
            middle = (self.last_without + self.step) // 2
            values = curve(np.array([middle]))
            if condition(values)[0]:
                self.step, self.value = middle, float(values[0])
            else:
                self.last_without = middle


@dataclass
class CurveScan:
    """The lowest and the highest value of a curve, and where its values meet some conditions.

    What a condition says of a value holds in float32, in which values are applied.
    """

    low: float = inf
    high: float = -inf
    vanishes: bool = True
    """Whether every value is 0 in float32."""
    not_finite: Occurrences = field(default_factory=Occurrences)
    """What is no number, or none in float32."""
    negative: Occurrences = field(default_factory=Occurrences)
    zero: Occurrences = field(default_factory=Occurrences)
    """Zeros, except at the first and the last step: warmups and decays begin or end there."""
    at_least_one: Occurrences = field(default_factory=Occurrences)
    outside_limits: Occurrences = field(default_factory=Occurrences)


def applied(values: Values) -> NDArray[np.float32]:
    """The values as updates apply them: in float32, and 0 where that lacks digits."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = values.astype(np.float32)
    rounded[np.abs(rounded) < LEAST] = 0
    return rounded


def scan(curve: Curve, steps: range, limits: Limits | None, look: Look | None = None) -> CurveScan:
    """Scans the values of `curve` at the `seen_steps` of a run, a bounded number at a time.

    A `look` at the curve over these steps spares another one.
    """
    result = CurveScan()
    conditions: list[tuple[Occurrences, Condition]] = [
        (result.not_finite, lambda values: ~np.isfinite(applied(values))),
        (result.negative, lambda values: values < 0),
        (result.at_least_one, lambda values: applied(values) >= 1),
    ]
    if limits:
        conditions.append((result.outside_limits, lambda values: ~limits.admit(applied(values))))
    for part, values in (look or Look.at(curve, steps)).chunks():
        rounded = applied(values)
        result.low = min(result.low, float(np.fmin.reduce(values)))
        result.high = max(result.high, float(np.fmax.reduce(values)))
        result.vanishes &= not rounded.any()
        for occurrences, condition in conditions:
            occurrences.add(part, values, condition(values))
        inside = (part != steps[0]) & (part != steps[-1])
        result.zero.add(part, values, inside & (rounded == 0))
    if len(steps) > SEEN:
        result.zero.last_without = max(result.zero.last_without, steps[0])
        for occurrences, condition in [*conditions, (result.zero, lambda v: applied(v) == 0)]:
            occurrences.find_first(curve, condition)
            occurrences.count = occurrences.count * len(steps) // SEEN
    return result
