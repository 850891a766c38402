"""One pass over all values of a curve: its range, and where something is wrong with a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from ..curve import Curve
from ..declaration.scalars import LEAST
from ..moments import Values
from .preview import Limits, chunks


@dataclass
class Occurrences:
    """The steps at which a condition holds: their number, and the first with its value."""

    count: int = 0
    step: int = 0
    value: float = nan

    def add(self, steps: range, values: Values, holds: NDArray[np.bool_]) -> None:
        """Counts the steps at which the condition `holds`; later calls have later steps."""
        indices = np.flatnonzero(holds)
        if indices.size and not self.count:
            self.step, self.value = steps[int(indices[0])], float(values[indices[0]])
        self.count += indices.size


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


def scan(curve: Curve, steps: range, limits: Limits | None) -> CurveScan:
    """Scans the values of `curve` at all `steps`, a bounded number at a time."""
    result = CurveScan()
    for part, values in chunks(curve, steps):
        rounded = applied(values)
        result.low = min(result.low, float(np.fmin.reduce(values)))
        result.high = max(result.high, float(np.fmax.reduce(values)))
        result.vanishes &= not rounded.any()
        result.not_finite.add(part, values, ~np.isfinite(rounded))
        result.negative.add(part, values, values < 0)
        result.at_least_one.add(part, values, rounded >= 1)
        if limits:
            result.outside_limits.add(part, values, ~limits.admit(rounded))
        zero = rounded == 0
        if part[0] == 0:
            zero[0] = False
        if part[-1] == steps[-1]:
            zero[-1] = False
        result.zero.add(part, values, zero)
    return result
