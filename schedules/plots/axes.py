"""Axes that are pleasant to read: round ticks, and numbers written short."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..moments import Values

FloatOrValues = TypeVar("FloatOrValues", float, Values)


def ticks(low: float, high: float, about: int, *, whole: bool = False) -> list[float]:
    """About so many round numbers from `low` to `high`: 1, 2, 2.5 or 5 times a power of ten.

    >>> ticks(0, 0.1, 4)
    [0.0, 0.025, 0.05, 0.075, 0.1]
    >>> ticks(0, 7, 12, whole=True)
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    rough = (high - low) / about
    power = floor(log10(rough))
    if whole:
        power = max(power, 0)
    multiples = (1, 2, 5, 10) if whole and power == 0 else (1, 2, 2.5, 5, 10)
    multiple = next((m for m in multiples if m * 10.0**power >= rough * (1 - 1e-9)), 10)
    step = multiple * 10.0**power
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [float(f"{k * multiple}e{power}") for k in range(first, last + 1)]


def drawable(values: Values) -> NDArray[np.bool_]:
    """Which values a picture can show: those so far from infinity that sums of them are finite."""
    return np.abs(values) < 1e300


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` onto places from `start` to `stop`, linearly."""

    low: float
    high: float
    start: float
    stop: float

    @classmethod
    def around(cls, values: Values, start: float, stop: float) -> Scale:
        """A scale for the drawable values; it starts at 0 where that wastes little room."""
        shown = values[drawable(values)]
        low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 1.0)
        if low == high:
            margin = abs(low) or 1.0
            return cls(min(0.0, low), max(0.0, low) + margin / 5, start, stop)
        margin = (high - low) / 16
        if 0 <= low < high / 2:
            return cls(0.0, high + margin, start, stop)
        return cls(low - margin, high + margin, start, stop)

    def __call__(self, value: FloatOrValues) -> FloatOrValues:
        fraction = (value - self.low) / (self.high - self.low)
        return self.start + fraction * (self.stop - self.start)
