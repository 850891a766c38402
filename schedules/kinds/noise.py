"""Curves with noise that depends on the seed and the step alone, not on when a value is read."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..declaration import Number, Whole
from ..moments import STEP, Moments, Values
from ..schedule import Schedule
from .anneals import LinearCosine, half_cosine


def normal(seed: int, t: Moments) -> Values:
    """Independent draws from N(0, 1), one a step: a pure function of the seed and the step.

    Box and Muller's transform of two uniform numbers, made from the bits of SplitMix64
    (Steele et al. 2014), which turns a counter into random bits without any state.
    """
    stream = splitmix64(np.array([seed % 2**64], np.uint64))
    counter = t.floor_steps().astype(np.uint64) * np.uint64(2)
    u, v = (uniform(splitmix64(stream + counter + np.uint64(i))) for i in (0, 1))
    normals: Values = np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)
    return normals


def splitmix64(counter: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output after `counter` steps; arithmetic is modulo 2**64."""
    z: NDArray[Any] = (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def uniform(bits: NDArray[np.uint64]) -> Values:
    """The upper 53 bits as a number in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


class NoisyLinearCosine(LinearCosine):
    """`v0 * ((alpha + 1 - p + eps_t) * (1 + cos(2 pi num_periods p)) / 2 + beta)`.

    `linear_cosine` whose line trembles by `eps_t ~ N(0, initial_variance / (1 + t) **
    variance_decay)`, drawn from (seed, t) alone; from `decay_steps` on the variance holds.
    Source: `tf.compat.v1.train.noisy_linear_cosine_decay`, after Bello et al. 2017, "Neural
    optimizer search with RL"; Keras has no such schedule.
    Differs from it: a step read twice has one value, where TF1 draws anew; and the value never
    falls below `min_value`, where TF1's falls below 0 with a probability of 15.8 % at step 0.
    """

    counts_steps: ClassVar[bool] = True

    kind: Literal["noisy_linear_cosine"] = "noisy_linear_cosine"  # type: ignore[assignment]
    initial_variance: Annotated[Number, Field(ge=0)] = 1.0
    """The variance of the noise at step 0."""
    variance_decay: Number = 0.55
    """How fast the variance falls with the step."""
    seed: Whole = 0
    """Which noise it is."""
    min_value: Number | None = 0.0
    """What the value never falls below; null for the raw curve."""

    def at(self, t: Moments) -> Values:
        p = t.progress(self.decay_steps)
        step = np.minimum(t / STEP, float(t.steps(self.decay_steps)))
        std = np.sqrt(self.initial_variance / (1 + step) ** self.variance_decay)
        line = self.alpha + 1 - p + std * normal(self.seed, t)
        wave = half_cosine(2 * self.num_periods * p)
        values: Values = self.initial_value * (line * wave + self.beta)
        return values if self.min_value is None else np.maximum(values, self.min_value)


class Noise(Schedule):
    """`inner * (1 + std * N(0, 1))`, the noise drawn from (seed, t) alone.

    Source: timm's `noise_range_t`, there with one draw an epoch.

    >>> from schedules import load
    >>> curve = load({"kind": "noise", "schedule": {"kind": "constant", "value": 0.1}, "std": 0.2})
    >>> curve(7) == curve([3, 7])[1].item()
    True
    """

    counts_steps: ClassVar[bool] = True

    kind: Literal["noise"] = "noise"
    schedule: Schedule
    """The curve that the noise is laid over."""
    std: Annotated[Number, Field(ge=0)]
    """The standard deviation, relative to the curve's value."""
    seed: Whole = 0
    """Which noise it is."""

    def at(self, t: Moments) -> Values:
        return self.schedule.at(t) * (1 + self.std * normal(self.seed, t))
