"""Curves that come back: restarts, triangles and the one-cycle policy."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..clock import Clock, exact
from ..declaration import Flag, Number, Problem
from ..moments import Moments, Values
from ..schedule import WHOLE, Length, Schedule
from .anneals import between, half_cosine
from .growing_cycles import cycle_marks, cycles
from .piecewise import through


class CosineRestarts(Schedule):
    """`v0 * ((1 - alpha) * m_mul**i * (1 + cos(pi * p)) / 2 + alpha)` in cycle i.

    Cycle i lasts `first_decay_steps * t_mul**i`, and p is the share of it that has passed, in
    exact arithmetic: p is 0 at each restart, whichever `t_mul`. With `t_mul` below 1 the cycles
    pile up before `first_decay_steps / (1 - t_mul)`, from where on the end of the cycles holds.
    Source: `tf.compat.v1.train.cosine_decay_restarts`, after Loshchilov and Hutter, "SGDR",
    arXiv 1608.03983; torch's `CosineAnnealingWarmRestarts` has whole `T_mult` only.
    Differs from its Keras namesake: no restart is missed, where `t_mul: 1.1` misses those that
    a logarithm rounds away, and `t_mul` below 1 gives values, not NaN.

    >>> from schedules import Clock, load
    >>> curve = load({"kind": "cosine_restarts", "initial_value": 0.1, "first_decay_steps": 1000,
    ...               "t_mul": 1.1}, Clock(5000))
    >>> curve(1000), curve(2100)
    (0.1, 0.1)
    """

    kind: Literal["cosine_restarts"] = "cosine_restarts"
    initial_value: Number
    """The peak of the first cycle."""
    first_decay_steps: Length
    """How long the first cycle takes."""
    t_mul: Annotated[Number, Field(gt=0)] = 2.0
    """How much longer each cycle is than the one before."""
    m_mul: Annotated[Number, Field(ge=0)] = 1.0
    """How much higher each peak stands above the end than the one before."""
    alpha: Number = 0.0
    """The share of `initial_value` that remains at the end of every cycle."""

    def contradictions(self) -> Iterator[Problem]:
        if self.t_mul < 1 < self.m_mul:
            rule = "must be at most 1 where t_mul is below 1, or the peaks grow beyond all bounds"
            yield Problem("m_mul", self.m_mul, rule, "m_mul=1.0")

    def at(self, t: Moments) -> Values:
        i, p = cycles(t, t.steps(self.first_decay_steps), exact(self.t_mul))
        end = self.initial_value * self.alpha
        return between(self.initial_value, end, self.m_mul**i * half_cosine(p))

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        first = clock.steps(self.first_decay_steps)
        yield from cycle_marks("restart", first, exact(self.t_mul), clock)


class Cyclic(Schedule):
    """`base_value + (max_value - base_value) * height * scale`: triangles, up and down again.

    In cycle i = 0, 1, …, `height` rises from 0 to 1 within `step_size_up` and falls back within
    `step_size_down`. `scale` is 1 (`triangular`), `2 ** -i` (`triangular2`) or `gamma ** t`
    (`exp_range`). Source: torch's `CyclicLR`, after Smith 2015, arXiv 1506.01186.
    Differs from it: a peak falls on its own step, however long the run.

    >>> from schedules import load
    >>> load({"kind": "cyclic", "base_value": 0.0, "max_value": 1.0, "step_size_up": 2,
    ...       "step_size_down": 4})(range(7))
    array([0.  , 0.5 , 1.  , 0.75, 0.5 , 0.25, 0.  ])
    """

    kind: Literal["cyclic"] = "cyclic"
    base_value: Number
    """The value at the foot of each triangle."""
    max_value: Number
    """The value at the top of the first."""
    step_size_up: Length
    """How long the way up takes."""
    step_size_down: Length | None = None
    """How long the way down takes; as long as the way up when left out."""
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    """Whether all triangles are alike, halve each time, or shrink by `gamma` with each step."""
    gamma: Annotated[Number, Field(gt=0)] = 1.0
    """The factor per step in `exp_range`."""

    def at(self, t: Moments) -> Values:
        up, down = t.steps(self.step_size_up), t.steps(self.step_size_down or self.step_size_up)
        in_cycle = t % (up + down)
        height = np.where(in_cycle.passed([up]), 1 - (in_cycle - up) / down, in_cycle / up)
        match self.mode:
            case "triangular2":
                height = height * 0.5 ** (t // (up + down)).astype(np.float64)
            case "exp_range":
                height = height * self.gamma ** (t / Fraction(1))
        return between(self.max_value, self.base_value, height)

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        up, down = self.step_size_up, self.step_size_down or self.step_size_up
        yield from cycle_marks("cycle", clock.steps(up) + clock.steps(down), Fraction(1), clock)


class OneCycle(Schedule):
    """From `max_value / div_factor` up to `max_value`, then down to a `final_div_factor`th of it.

    The way up ends at step `pct_start * T - 1` and the way down at `T - 1`, T being
    `decay_steps`. With `three_phase` it comes down to where it began at `2 * pct_start * T - 2`,
    and then goes on to `max_value / div_factor / final_div_factor`.
    Source: torch's `OneCycleLR`, after Smith 2018, arXiv 1803.09820. Its other half, the
    momentum that mirrors the rate, is a second schedule.
    Differs from it: after the end the last value holds, where torch raises.

    >>> from schedules import Clock, load
    >>> load({"kind": "one_cycle", "max_value": 1.0, "pct_start": 0.5, "anneal": "linear",
    ...       "div_factor": 2.0, "final_div_factor": 10.0}, Clock(10))([0, 2, 4, 9])
    array([0.5 , 0.75, 1.  , 0.05])
    """

    kind: Literal["one_cycle"] = "one_cycle"
    max_value: Number
    """The value at the peak."""
    decay_steps: Length = WHOLE
    """How long the whole cycle takes."""
    pct_start: Annotated[Number, Field(ge=0, lt=1)] = 0.3
    """The share of the cycle in which the value rises."""
    anneal: Literal["cosine", "linear"] = "cosine"
    """How it goes from one end of a phase to the other."""
    div_factor: Annotated[Number, Field(gt=0)] = 25.0
    """How many times smaller the first value is than the peak."""
    final_div_factor: Annotated[Number, Field(gt=0)] = 10000.0
    """How many times smaller the last value is than the first."""
    three_phase: Flag = False
    """Whether to come down as slowly as it rose, and then fall to the last value."""

    def contradictions(self) -> Iterator[Problem]:
        if self.three_phase and self.pct_start > 0.5:
            rule = "must be at most 0.5 with three_phase, which comes down as slowly as it rises"
            yield Problem("pct_start", self.pct_start, rule, "pct_start=0.5")

    def points(self, clock: Clock) -> list[tuple[Fraction, float]]:
        """The moments between the phases, each with its value."""
        T, pct = clock.steps(self.decay_steps), exact(self.pct_start)
        low = self.max_value / self.div_factor
        points = [(Fraction(0), low), (pct * T - 1, self.max_value)]
        if self.three_phase:
            points.append((2 * pct * T - 2, low))
        points.append((T - 1, low / self.final_div_factor))
        first = max(i for i, (moment, _) in enumerate(points) if moment <= 0)
        return points[first:]  # a rise of less than a step is over before it begins

    def at(self, t: Moments) -> Values:
        return through(self.points(t.clock), t, self.anneal)

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        for moment, value in self.points(clock)[1:]:
            yield f"{value:g}", moment
