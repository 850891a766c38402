"""Curves given by points or boundaries: stairs and lines between chosen values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..clock import Clock, Duration
from ..declaration import Number, Problem, refuse
from ..moments import Knots, Moments, Values
from ..schedule import Schedule
from .anneals import between, half_cosine

Boundaries = Annotated[tuple[Duration, ...], Field(min_length=1)]
"""Moments in ascending order, at least one."""


def check_ascending(paths: Sequence[str], moments: Sequence[Duration], clock: Clock) -> None:
    """Refuses moments that do not rise, compared in steps of `clock`; each has a path."""
    for i in range(1, len(moments)):
        if clock.steps(moments[i]) <= clock.steps(moments[i - 1]):
            rule = f"must come after {paths[i - 1]} = {moments[i - 1]}"
            hint = "write them in ascending order, each of them once"
            raise refuse(paths[i], moments[i].config_value(), rule, hint)


def through(points: Sequence[tuple[Fraction, float]], t: Moments, mode: str) -> Values:
    """The curve through ascending points; `mode` is `linear` or `cosine`, from each to the next."""
    moments, values = zip(*points, strict=True)
    i, p = t.locate(Knots.at(moments, t.per))
    v0, end = np.array(values)[i], np.array([*values[1:], values[-1]])[i]
    return between(v0, end, half_cosine(p)) if mode == "cosine" else v0 * (1 - p) + end * p


class Constant(Schedule):
    """`value`, always.

    >>> from schedules import load
    >>> load({"kind": "constant", "value": 0.1})(10**9)
    0.1
    """

    kind: Literal["constant"] = "constant"
    value: Number
    """The value at every step."""

    def at(self, t: Moments) -> Values:
        return np.full(len(t), self.value)


class PiecewiseConstant(Schedule):
    """`values[i]` while `t <= boundaries[i]` (`boundary: inclusive`) or `t < boundaries[i]`.

    Source: `tf.compat.v1.train.piecewise_constant`, whose boundaries belong to the value before
    them; optax and torch have already moved on there, which is `boundary: exclusive`.

    >>> from schedules import load
    >>> curve = load({"kind": "piecewise_constant", "boundaries": [10], "values": [0.1, 0.01]})
    >>> curve(10), curve(11)
    (0.1, 0.01)
    """

    kind: Literal["piecewise_constant"] = "piecewise_constant"
    boundaries: Boundaries
    """Where the value changes, in ascending order."""
    values: tuple[Number, ...]
    """The values, one more than there are boundaries."""
    boundary: Literal["inclusive", "exclusive"] = "inclusive"
    """Whether a boundary's own step still has the value before it, or already the next one."""

    def contradictions(self) -> Iterator[Problem]:
        count, needed = len(self.values), len(self.boundaries) + 1
        if count != needed:
            rule = f"must be {needed} values, one more than boundaries, and is {count}"
            hint = "the first value holds before the first boundary, the last one after the last"
            yield Problem("values", list(self.values), rule, hint)

    def check(self, clock: Clock) -> None:
        super().check(clock)
        paths = [f"boundaries.{i}" for i in range(len(self.boundaries))]
        check_ascending(paths, self.boundaries, clock)

    def at(self, t: Moments) -> Values:
        ends = [t.steps(boundary) for boundary in self.boundaries]
        return np.array(self.values)[t.passed(ends, inclusive=self.boundary == "exclusive")]

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        for value, boundary in zip(self.values[1:], self.boundaries, strict=True):
            yield f"{value:g}", clock.steps(boundary)


class Multistep(Schedule):
    """`v0 * gamma ** (how many milestones <= t)`.

    Source: torch's `MultiStepLR`.
    Differs from it: a milestone given twice is refused, where torch multiplies twice.

    >>> from schedules import load
    >>> load({"kind": "multistep", "initial_value": 1.0, "milestones": [3, 5], "gamma": 0.5})(
    ...     [2, 3, 4, 5])
    array([1.  , 0.5 , 0.5 , 0.25])
    """

    kind: Literal["multistep"] = "multistep"
    initial_value: Number
    """The value before the first milestone."""
    milestones: Boundaries
    """The moments at which the value is multiplied, in ascending order."""
    gamma: Number = 0.1
    """The factor at each milestone."""

    def check(self, clock: Clock) -> None:
        super().check(clock)
        paths = [f"milestones.{i}" for i in range(len(self.milestones))]
        check_ascending(paths, self.milestones, clock)

    def at(self, t: Moments) -> Values:
        passed = t.passed([t.steps(milestone) for milestone in self.milestones])
        return self.initial_value * self.gamma ** passed.astype(np.float64)

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        for i, milestone in enumerate(self.milestones, start=1):
            yield f"{self.initial_value * self.gamma**i:g}", clock.steps(milestone)


class Interpolate(Schedule):
    """Through `points`, holding the first value before them and the last one after them.

    Between two points, `mode: linear` draws a straight line and `mode: cosine` half a cosine.
    Source: ignite's `PiecewiseLinear`, optax' `piecewise_interpolate_schedule`.
    Differs from optax': the points give values, where optax gives factors of the value before.

    >>> from schedules import Clock, load
    >>> load({"kind": "interpolate", "points": [[0, 0.0], ["50%", 1.0], ["100%", 0.5]]},
    ...      Clock(8))([0, 2, 4, 6, 8])
    array([0.  , 0.5 , 1.  , 0.75, 0.5 ])
    """

    kind: Literal["interpolate"] = "interpolate"
    points: Annotated[tuple[tuple[Duration, Number], ...], Field(min_length=1)]
    """Pairs of a moment and its value, in ascending order."""
    mode: Literal["linear", "cosine"] = "linear"
    """How to go from one point to the next."""

    def check(self, clock: Clock) -> None:
        super().check(clock)
        paths = [f"points.{i}.0" for i in range(len(self.points))]
        check_ascending(paths, [moment for moment, _ in self.points], clock)

    def at(self, t: Moments) -> Values:
        points = [(t.steps(moment), value) for moment, value in self.points]
        return through(points, t, self.mode)

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        for moment, value in self.points:
            yield f"{value:g}", clock.steps(moment)
