"""A learning rate for every weight, from the squares of its gradients."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schedules.declaration import Flag, Float32

from ..scheduled.fields import Bounds, Value, unscheduled
from .optimizer import Decay, Optimizer, Share, Strength

Start = Annotated[Float32, Field(ge=0), unscheduled("it is where the accumulators start")]
"""The value of the accumulators before the first update."""


class Adagrad(Optimizer):
    """`n = n + g**2`, then `w = w - lr * g / sqrt(n + epsilon)`: rates that never rise.

    Source: Duchi et al. 2011. With `epsilon` 0 it is `tf.compat.v1.train.AdagradOptimizer`; torch
    starts from 0 and adds its epsilon to the root.
    """

    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.1

    kind: Literal["adagrad"] = "adagrad"
    initial_accumulator_value: Start = 0.1
    """The value that n starts from."""
    epsilon: Strength = 1e-7
    """Keeps the root away from 0."""

    def rests_without_gradient(self) -> bool:
        return True


class Adadelta(Optimizer):
    """Adagrad in a window, with steps in the units of the weights.

    `n = rho * n + (1 - rho) * g**2`, `d = sqrt(s + epsilon) / sqrt(n + epsilon) * g`,
    `s = rho * s + (1 - rho) * d**2`, then `w = w - lr * d`.

    Source: Zeiler 2012, arXiv 1212.5701, which has no lr: 1 is its rule.
    `tf.compat.v1.train.AdadeltaOptimizer` is the same with an epsilon of 1e-8; torch's default is
    1e-6, and its rho 0.9.
    """

    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 1.0

    kind: Literal["adadelta"] = "adadelta"
    rho: Decay = 0.95
    """What share of the running means stays at each update."""
    epsilon: Strength = 1e-7
    """Keeps the roots away from 0; without it the first step would be 0."""


class RMSprop(Optimizer):
    """`n = rho * n + (1 - rho) * g**2`, then `w = w - lr * g / sqrt(n + epsilon)`.

    With `centered`, the square of the gradients' running mean is taken off n, which then
    estimates their variance. With momentum, `m = momentum * m + lr * g / sqrt(n + epsilon)`, then
    `w = w - m`.

    Source: Hinton's lecture 6e. `tf.compat.v1.train.RMSPropOptimizer` is the same but starts n
    from 1 and has an epsilon of 1e-10; torch adds its epsilon to the root, has a rho of 0.99, and
    keeps lr out of m. In all of them the variance that `centered` estimates can come out below
    0, and the step NaN, where large gradients hardly change: raise epsilon then.
    """

    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.001

    kind: Literal["rmsprop"] = "rmsprop"
    rho: Decay = 0.9
    """What share of the running means stays at each update."""
    momentum: Share = 0.0
    """The share of the last step that is added to the next."""
    epsilon: Strength = 1e-7
    """Keeps the root away from 0."""
    centered: Flag = False
    """Whether to divide by the deviation from the mean gradient."""


class Ftrl(Optimizer):
    """Follow the regularized leader: weights made anew from all gradients, many of them exactly 0.

    `n' = n + g**2` and `z = z + g + 2 * l2_shrinkage * w - (n'**-power - n**-power) / lr * w`, then
    `w = (clip(z, -l1, l1) - z) / (n'**-power / lr + 2 * l2 + beta / lr)`.

    Source: McMahan et al. 2013; `tf.compat.v1.train.FtrlOptimizer`. The weights are lr times a sum
    over all gradients and shrink along with lr: use a constant lr. The rule divides by lr, which
    must not be 0.
    """

    rate_bounds: ClassVar[Bounds] = Bounds(gt=0)
    steady: ClassVar[bool] = True
    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.1

    kind: Literal["ftrl"] = "ftrl"
    learning_rate_power: Annotated[Value, Bounds(le=0)] = -0.5
    """How fast rates fall as n grows; 0 keeps them."""
    initial_accumulator_value: Start = 0.1
    """The value that n starts from."""
    l1_regularization_strength: Strength = 0.0
    """l1; weights whose |z| is no greater are 0."""
    l2_regularization_strength: Strength = 0.0
    """l2; draws weights towards 0."""
    l2_shrinkage_regularization_strength: Strength = 0.0
    """Adds an L2 penalty's gradient to z."""
    beta: Strength = 0.0
    """Lowers the first rates, as in the paper."""
