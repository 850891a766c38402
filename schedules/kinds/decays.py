"""Curves that fall at a rate, without an end value.

In the formulas v0 is `initial_value` and T is `decay_steps`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from ..clock import Duration
from ..declaration import Flag, Number, Whole
from ..moments import STEP, Moments, Values
from ..schedule import WHOLE, Length, Schedule


def periods(t: Moments, length: Duration, staircase: bool) -> Values:
    """`t / length`, or `floor(t / length)` on a staircase."""
    return (t // length).astype(np.float64) if staircase else t / length


class Exponential(Schedule):
    """`v0 * decay_rate ** (t / T)`; with `staircase`, `v0 * decay_rate ** floor(t / T)`.

    Source: `tf.compat.v1.train.exponential_decay`. Torch's `ExponentialLR` is this with
    `decay_steps: 1`, its `StepLR` this with `staircase`.
    Differs from its Keras namesake: every stair falls on its own step, compiled or not.

    >>> from schedules import Clock, load
    >>> load({"kind": "exponential", "initial_value": 0.1, "decay_steps": "1 epoch",
    ...       "decay_rate": 0.5}, Clock(100, batch_size=10, examples_per_epoch=100))(20)
    0.025
    """

    kind: Literal["exponential"] = "exponential"
    initial_value: Number
    """The value at step 0."""
    decay_steps: Length = WHOLE
    """How long one factor of `decay_rate` takes."""
    decay_rate: Annotated[Number, Field(gt=0)]
    """The factor per `decay_steps`."""
    staircase: Flag = False
    """Whether to decay at discrete intervals, all at once."""

    def at(self, t: Moments) -> Values:
        return self.initial_value * self.decay_rate ** periods(t, self.decay_steps, self.staircase)


class NaturalExp(Schedule):
    """`v0 * exp(-decay_rate * t / T)`; with `staircase`, `v0 * exp(-decay_rate * floor(t / T))`.

    Source: `tf.compat.v1.train.natural_exp_decay`; Keras has no such schedule.

    >>> from schedules import Clock, load
    >>> curve = load({"kind": "natural_exp", "initial_value": 1.0, "decay_steps": 10,
    ...               "decay_rate": 0.5}, Clock(100))
    >>> round(curve(20), 6)  # exp(-1)
    0.367879
    """

    kind: Literal["natural_exp"] = "natural_exp"
    initial_value: Number
    """The value at step 0."""
    decay_steps: Length = WHOLE
    """How long a fall by `exp(-decay_rate)` takes."""
    decay_rate: Number
    """The exponent per `decay_steps`."""
    staircase: Flag = False
    """Whether to decay at discrete intervals, all at once."""

    def at(self, t: Moments) -> Values:
        x = periods(t, self.decay_steps, self.staircase)
        return self.initial_value * np.exp(-self.decay_rate * x)


class InverseTime(Schedule):
    """`v0 / (1 + decay_rate * t / T)`; with `staircase`, `v0 / (1 + decay_rate * floor(t / T))`.

    Source: `tf.compat.v1.train.inverse_time_decay`.
    Differs from its Keras namesake: every stair falls on its own step, compiled or not.

    >>> from schedules import Clock, load
    >>> load({"kind": "inverse_time", "initial_value": 0.1, "decay_steps": 10,
    ...       "decay_rate": 0.5}, Clock(100))(20)
    0.05
    """

    kind: Literal["inverse_time"] = "inverse_time"
    initial_value: Number
    """The value at step 0."""
    decay_steps: Length = WHOLE
    """How long the divisor takes to grow by `decay_rate`."""
    decay_rate: Annotated[Number, Field(ge=0)]
    """What the divisor gains per `decay_steps`."""
    staircase: Flag = False
    """Whether to decay at discrete intervals, all at once."""

    def at(self, t: Moments) -> Values:
        x = periods(t, self.decay_steps, self.staircase)
        return self.initial_value / (1 + self.decay_rate * x)


class InverseSqrt(Schedule):
    """`v0 / sqrt(1 + t / timescale)`, which is `v0 * sqrt(timescale / (t + timescale))`.

    Source: transformers' `get_inverse_sqrt_schedule` after its warmup, whose own `timescale`
    is the warmup's length unless it is given.
    Differs from it: the warmup is another part of a `sequence`, and t counts from its end.

    >>> from schedules import Clock, load
    >>> load({"kind": "inverse_sqrt", "initial_value": 0.1, "timescale": 100}, Clock(1000))(300)
    0.05
    """

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    initial_value: Number
    """The value at step 0."""
    timescale: Length
    """After three of these the value has halved."""

    def at(self, t: Moments) -> Values:
        return self.initial_value / np.sqrt(1 + t / self.timescale)


class Noam(Schedule):
    """`factor * d_model**-0.5 * min(n**-0.5, n * warmup_steps**-1.5)` with n = t + 1.

    Rises for `warmup_steps`, then falls as the inverse square root. Source: Vaswani et al. 2017,
    "Attention is all you need", section 5.3, whose steps count from 1.
    """

    counts_steps: ClassVar[bool] = True

    kind: Literal["noam"] = "noam"
    d_model: Annotated[Whole, Field(gt=0)]
    """The width of the model."""
    warmup_steps: Length = Duration.parse(4000)
    """How long the value rises."""
    factor: Number = 1.0
    """Scales the whole curve."""

    def at(self, t: Moments) -> Values:
        n, warmup = (t + 1) / STEP, float(t.steps(self.warmup_steps))
        rise, fall = n * warmup**-1.5, n**-0.5
        return np.asarray(self.factor * self.d_model**-0.5 * np.minimum(fall, rise))
