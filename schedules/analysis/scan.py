"""One pass over all values of a curve: its range, and where something is wrong with a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from ..curve import Curve
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
    """The lowest and the highest value of a curve, and where its values meet some conditions."""

    low: float = inf
    high: float = -inf
    not_finite: Occurrences = field(default_factory=Occurrences)
    negative: Occurrences = field(default_factory=Occurrences)
    zero: Occurrences = field(default_factory=Occurrences)
    """Zeros, except at the first and the last step: warmups and decays begin or end there."""
    at_least_one: Occurrences = field(default_factory=Occurrences)
    outside_limits: Occurrences = field(default_factory=Occurrences)


def scan(curve: Curve, steps: range, limits: Limits | None) -> CurveScan:
    """Scans the values of `curve` at all `steps`, a bounded number at a time."""
    result = CurveScan()
    for part, values in chunks(curve, steps):
        result.low = min(result.low, float(np.fmin.reduce(values)))
        result.high = max(result.high, float(np.fmax.reduce(values)))
        result.not_finite.add(part, values, ~np.isfinite(values))
        result.negative.add(part, values, values < 0)
        result.at_least_one.add(part, values, values >= 1)
        if limits:
            result.outside_limits.add(part, values, ~limits.admit(values))
        zero = values == 0
        if part[0] == 0:
            zero[0] = False
        if part[-1] == steps[-1]:
            zero[-1] = False
        result.zero.add(part, values, zero)
    return result
