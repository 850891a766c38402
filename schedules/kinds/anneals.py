"""Curves that go from one value to another within `decay_steps`, and then hold the last value.

In the formulas v0 is `initial_value`, end is `end_value`, T is `decay_steps` and
p = min(t, T) / T. Both ends are met exactly: the value is `v0 * left + end * (1 - left)`, where
`left` is the share of the way still to go, 1 at first and 0 in the end.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..declaration import Flag, Number
from ..moments import Moments, Values
from ..schedule import WHOLE, Length, Schedule


def between(v0: float | Values, end: float | Values, left: Values) -> Values:
    """The value where the share `left` of the way from `v0` to `end` is still to go."""
    return v0 * left + end * (1 - left)


def half_cosine(p: Values) -> Values:
    """`(1 + cos(pi * p)) / 2`: from 1 to 0, level at both ends."""
    return (1 + np.cos(np.pi * p)) / 2


class Linear(Schedule):
    """`v0 * (1 - p) + end * p`: a straight line over `decay_steps`, which then holds `end_value`.

    Source: torch's `LinearLR`, there with factors of the optimizer's rate in place of values.

    >>> from schedules import Clock, load
    >>> load({"kind": "linear", "initial_value": 0.1, "end_value": 0.3}, Clock(4))(2)
    0.2
    """

    kind: Literal["linear"] = "linear"
    initial_value: Number
    """The value at step 0."""
    end_value: Number
    """The value from `decay_steps` on."""
    decay_steps: Length = WHOLE
    """How long the line takes."""

    def at(self, t: Moments) -> Values:
        p = t.progress(self.decay_steps)
        return self.initial_value * (1 - p) + self.end_value * p


class Polynomial(Schedule):
    """`(v0 - end) * (1 - p) ** power + end`; with `cycle`, T grows to its next multiple.

    A cycle restarts lower than `v0`, since the longer T begins at p > 0, and an exact multiple of
    `decay_steps` still gives `end_value`. Source: `tf.compat.v1.train.polynomial_decay`; torch's
    `PolynomialLR` is this with `end_value: 0` and no cycle.
    Differs from its Keras namesake: `power: 0.5` is 0 at the end under XLA too, not NaN.

    >>> from schedules import Clock, load
    >>> curve = load({"kind": "polynomial", "initial_value": 1.0, "end_value": 0.0,
    ...               "decay_steps": 10, "cycle": True}, Clock(100))
    >>> curve(10), curve(15), curve(20)
    (0.0, 0.25, 0.0)
    """

    kind: Literal["polynomial"] = "polynomial"
    initial_value: Number
    """The value at step 0."""
    decay_steps: Length = WHOLE
    """How long the fall, or each cycle, takes."""
    end_value: Number = 0.0001
    """The value at `decay_steps`."""
    power: Annotated[Number, Field(ge=0)] = 1.0
    """The exponent; 1 makes it a straight line."""
    cycle: Flag = False
    """Whether to start again after `decay_steps`, each time lower."""

    def at(self, t: Moments) -> Values:
        if self.cycle:
            p = (t / self.decay_steps) / np.maximum(t.ceil_div(self.decay_steps), 1).astype(
                np.float64
            )
        else:
            p = t.progress(self.decay_steps)
        return between(self.initial_value, self.end_value, (1 - p) ** self.power)


class Cosine(Schedule):
    """`v0 * ((1 - alpha) * (1 + cos(pi * p ** k_decay)) / 2 + alpha)`: half a cosine.

    Source: `tf.compat.v1.train.cosine_decay`; `k_decay` is timm's, after arXiv 2004.05909.
    Differs from torch's `CosineAnnealingLR`: it holds its end instead of rising again, and
    `alpha` is a share of v0 where torch's `eta_min` is a value.

    >>> from schedules import Clock, load
    >>> load({"kind": "cosine", "initial_value": 0.1, "alpha": 0.5}, Clock(10))([0, 5, 10])
    array([0.1  , 0.075, 0.05 ])
    """

    kind: Literal["cosine"] = "cosine"
    initial_value: Number
    """The value at step 0."""
    decay_steps: Length = WHOLE
    """How long the fall takes."""
    alpha: Number = 0.0
    """The share of `initial_value` that remains."""
    k_decay: Annotated[Number, Field(gt=0)] = 1.0
    """Above 1 the fall comes later, below 1 earlier."""

    def at(self, t: Moments) -> Values:
        p = t.progress(self.decay_steps)
        end = self.initial_value * self.alpha
        return between(self.initial_value, end, half_cosine(p**self.k_decay))


class LinearCosine(Schedule):
    """`v0 * ((alpha + 1 - p) * (1 + cos(2 pi num_periods p)) / 2 + beta)`.

    A falling line times a periodic cosine. It starts at `v0 * (1 + alpha + beta)`, above v0.
    Source: `tf.compat.v1.train.linear_cosine_decay`, after Bello et al. 2017, "Neural optimizer
    search with RL"; Keras has no such schedule.
    """

    kind: Literal["linear_cosine"] = "linear_cosine"
    initial_value: Number
    """What the curve scales with."""
    decay_steps: Length = WHOLE
    """How long the fall takes."""
    num_periods: Number = 0.5
    """How many periods the cosine has within `decay_steps`."""
    alpha: Number = 0.0
    """What the line gains everywhere."""
    beta: Number = 0.001
    """What the curve gains everywhere."""

    def at(self, t: Moments) -> Values:
        p = t.progress(self.decay_steps)
        line, wave = self.alpha + 1 - p, half_cosine(2 * self.num_periods * p)
        return self.initial_value * (line * wave + self.beta)


class OneMinusSqrt(Schedule):
    """`end + (v0 - end) * (1 - sqrt(p))`: steep at first, for a cooldown.

    Source: transformers' `get_wsd_schedule` with `decay_type="1-sqrt"`, after Hägele et al.,
    arXiv 2405.18392.
    """

    kind: Literal["one_minus_sqrt"] = "one_minus_sqrt"
    initial_value: Number
    """The value at step 0."""
    end_value: Number = 0.0
    """The value from `decay_steps` on."""
    decay_steps: Length = WHOLE
    """How long the fall takes."""

    def at(self, t: Moments) -> Values:
        p = t.progress(self.decay_steps)
        return between(self.initial_value, self.end_value, 1 - np.sqrt(p))


class Tanh(Schedule):
    """`end + (v0 - end) / 2 * (1 - tanh(lower * (1 - p) + upper * p))`: a soft step.

    It nears v0 and `end_value` as closely as `lower` and `upper` are far out, and meets neither.
    Source: timm's `TanhLRScheduler`, after Hsueh et al., arXiv 1806.01593.
    Differs from it: from `decay_steps` on the curve's own end is held, where timm falls to
    `end_value` at once.
    """

    kind: Literal["tanh"] = "tanh"
    initial_value: Number
    """What the curve begins near."""
    end_value: Number = 0.0
    """What the curve ends near."""
    decay_steps: Length = WHOLE
    """How long the fall takes."""
    lower: Number = -7.0
    """Where on the hyperbolic tangent the curve begins."""
    upper: Number = 3.0
    """Where on it the curve ends."""

    def at(self, t: Moments) -> Values:
        p = t.progress(self.decay_steps)
        left = (1 - np.tanh(self.lower * (1 - p) + self.upper * p)) / 2
        return between(self.initial_value, self.end_value, left)


class Rex(Schedule):
    """`end + (v0 - end) * (1 - p) / (1 - p / 2)`: slow at first, fast at the end.

    Source: Chen et al., "REX: revisiting budgeted training with an improved schedule",
    arXiv 2107.04197.
    """

    kind: Literal["rex"] = "rex"
    initial_value: Number
    """The value at step 0."""
    end_value: Number = 0.0
    """The value from `decay_steps` on."""
    decay_steps: Length = WHOLE
    """How long the fall takes."""

    def at(self, t: Moments) -> Values:
        p = t.progress(self.decay_steps)
        return between(self.initial_value, self.end_value, (1 - p) / (1 - p / 2))
