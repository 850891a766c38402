"""Curves that fall from one value to another over `decay_steps`.

In the formulas v0 is `initial_value`, T is `decay_steps` and p = min(t, T) / T.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from .declaration import Flag, Number
from .moments import Moments, Values
from .schedule import WHOLE, Length, Schedule


class Exponential(Schedule):
    """`v0 * decay_rate ** (t / T)`; with `staircase`, `v0 * decay_rate ** floor(t / T)`.

    Source: `tf.compat.v1.train.exponential_decay`. Torch's `StepLR` is this with `staircase`.
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
    decay_rate: Number
    """The factor per `decay_steps`."""
    staircase: Flag = False
    """Whether to decay at discrete intervals, all at once."""

    def value(self, t: Moments) -> Values:
        turns = t // self.decay_steps if self.staircase else t / self.decay_steps
        return self.initial_value * np.power(self.decay_rate, turns.astype(np.float64))


class Linear(Schedule):
    """`v0 * (1 - p) + end * p`: a straight line over `decay_steps`, which then holds `end_value`.

    Source: torch's `LinearLR`, there with factors of the optimizer's rate in place of values.
    """

    kind: Literal["linear"] = "linear"
    initial_value: Number
    """The value at step 0."""
    end_value: Number
    """The value from `decay_steps` on."""
    decay_steps: Length = WHOLE
    """How long the line takes."""

    def value(self, t: Moments) -> Values:
        p = t.progress(self.decay_steps)
        return self.initial_value * (1 - p) + self.end_value * p
