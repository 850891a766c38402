"""Schedules made of schedules at the same time: scaled, clamped, added, multiplied, compared."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from ..declaration import ABSENT, Number, Problem
from ..moments import Moments, Values
from ..schedule import Schedule


class Scale(Schedule):
    """`factor * inner`.

    >>> from schedules import load
    >>> load({"kind": "scale", "factor": 0.5, "schedule": {"kind": "constant", "value": 0.1}})(0)
    0.05
    """

    kind: Literal["scale"] = "scale"
    schedule: Schedule
    """What is scaled."""
    factor: Number
    """What it is multiplied by."""

    def at(self, t: Moments) -> Values:
        return self.factor * self.schedule.at(t)


class Clip(Schedule):
    """`min(max(inner, min_value), max_value)`; either bound may be left out."""

    kind: Literal["clip"] = "clip"
    schedule: Schedule
    """What is clamped."""
    min_value: Number | None = None
    """What the value never falls below."""
    max_value: Number | None = None
    """What the value never rises above."""

    def contradictions(self) -> Iterator[Problem]:
        low, high = self.min_value, self.max_value
        if low is None and high is None:
            yield Problem(
                "min_value", ABSENT, "or max_value is required", "give at least one bound"
            )
        elif low is not None and high is not None and low > high:
            yield Problem("min_value", low, f"must not be above max_value = {high}", "swap them")

    def at(self, t: Moments) -> Values:
        low = -np.inf if self.min_value is None else self.min_value
        high = np.inf if self.max_value is None else self.max_value
        return np.clip(self.schedule.at(t), low, high)


class Combined(Schedule):
    """Several schedules on one clock, their values put together step by step."""

    ufunc: ClassVar[np.ufunc]

    kind: str
    schedules: Annotated[tuple[Schedule, ...], Field(min_length=1)]
    """The schedules whose values are put together."""

    def at(self, t: Moments) -> Values:
        return reduce(self.ufunc, (schedule.at(t) for schedule in self.schedules))


class Product(Combined):
    """The product of the inner values: a cosine times a falling line, say.

    >>> from schedules import load
    >>> load({"kind": "product", "schedules": [{"kind": "constant", "value": 0.5},
    ...                                        {"kind": "constant", "value": 0.1}]})(0)
    0.05
    """

    ufunc = np.multiply
    kind: Literal["product"] = "product"


class Sum(Combined):
    """The sum of the inner values."""

    ufunc = np.add
    kind: Literal["sum"] = "sum"


class Minimum(Combined):
    """The smallest of the inner values."""

    ufunc = np.minimum
    kind: Literal["minimum"] = "minimum"


class Maximum(Combined):
    """The largest of the inner values."""

    ufunc = np.maximum
    kind: Literal["maximum"] = "maximum"
