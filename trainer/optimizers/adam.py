"""Adam and its variants: a running mean of the gradients over the root of one of their squares.

The bias correction of an update is `1 - beta**t` with the beta of that update, as in Keras and
torch. While a schedule moves beta, the exact correction has the product of all betas: from 0.95 to
0.85 the difference is up to 11 %.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schedules.declaration import Flag, Float32

from ..scheduled.fields import unscheduled
from .optimizer import Decay, Optimizer, Strength


class _Moments(Optimizer):
    """The settings that all of them have."""

    beta_1: Decay = 0.9
    """What share of the mean gradient stays at each update."""
    beta_2: Decay = 0.999
    """What share of the second moment stays at each update."""
    epsilon: Strength = 1e-7
    """Keeps the divisor away from 0."""


class Adam(_Moments):
    """`m = beta_1 * m + (1 - beta_1) * g` and `v = beta_2 * v + (1 - beta_2) * g**2`, then
    `w = w - lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)`.

    Source: Kingma and Ba 2014, arXiv 1412.6980, in the form before section 2.1, whose epsilon is
    not corrected; `tf.compat.v1.train.AdamOptimizer` is the same with an epsilon of 1e-8 and, for
    moving betas, their exact product. Algorithm 1 of the paper and torch add epsilon to the
    corrected root, which makes epsilon count for more while t is small.
    """

    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.001

    kind: Literal["adam"] = "adam"
    amsgrad: Flag = False
    """Whether to divide by the greatest v so far (Reddi et al. 2018)."""


class AdamW(_Moments):
    """`adam` whose weight decay is on unless switched off; the same rule otherwise.

    Source: Loshchilov and Hutter 2017, arXiv 1711.05101; torch's default decay is 0.01.
    """

    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.001

    kind: Literal["adamw"] = "adamw"
    weight_decay: Strength = 0.004
    """The share of each weight, times the learning rate, that every update takes away."""
    amsgrad: Flag = False
    """Whether to divide by the greatest v so far (Reddi et al. 2018)."""


class Adamax(_Moments):
    """`m = beta_1 * m + (1 - beta_1) * g` and `u = max(beta_2 * u, |g|)`, then
    `w = w - lr / (1 - beta_1**t) * m / (u + epsilon)`.

    Source: Kingma and Ba 2014, section 7.1, which has no epsilon; torch adds its own to |g|.
    """

    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.002

    kind: Literal["adamax"] = "adamax"


class Nadam(_Moments):
    """Adam that looks ahead, with a momentum of its own rising to beta_1.

    With `u = beta_1 * (1 - 0.96**t / 2)`, u' the next update's, U the product of all u so far, m
    and v as in `adam`, and `r = sqrt(v / (1 - beta_2**t)) + epsilon`:
    `w = w - lr * (u' * m / (1 - U * u') + (1 - u) * g / (1 - U)) / r`.

    Source: Dozat 2016. torch's `NAdam` warms momentum up as `0.96**(0.004 * t)`, so far slower.
    """

    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.001

    kind: Literal["nadam"] = "nadam"


class ScheduleFreeAdamW(_Moments):
    """Adam without a first moment, at an interpolation between its iterates and their average.

    `v = beta_2 * v + (1 - beta_2) * g**2`, `z = z - lr * g / (sqrt(v / (1 - beta_2**t)) + epsilon)`
    and `x = x + (z - x) / t`; gradients are taken at `w = (1 - beta_1) * z + beta_1 * x`.

    What is learnt is x: evaluations, the best checkpoint, exports and predictions are by x, while
    training goes on from w. Statistics of a batch normalization are those at w.

    Source: Defazio et al. 2024, arXiv 2405.15682, with the parameters of Keras: the average weighs
    all updates alike, where the paper's weighs them by lr**2, and weight decay reaches x alone.
    Keras' own rule takes z after its step for the z before, which adds
    `(1 / beta_1 - 1) * (1 - 1 / t)` of each step to x, backwards, and `fit` evaluates and saves w.
    Keras' `warmup_steps` is the experiment's `warmup` here.
    """

    rules: ClassVar[str] = "trainer.optimizers.keras_rules"
    averages: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.0025

    kind: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    beta_1: Annotated[
        Float32,
        Field(gt=0, le=1),
        unscheduled("the average is worked out from the weights, which were made with it"),
    ] = 0.9
    """How close to the average the gradients are taken."""
    epsilon: Strength = 1e-8
    """Keeps the divisor away from 0."""
