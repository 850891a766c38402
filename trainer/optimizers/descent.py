"""Steps along the gradient, plain or with momentum."""

from __future__ import annotations

from typing import ClassVar, Literal

from schedules.declaration import Flag

from .optimizer import Optimizer, Share


class SGD(Optimizer):
    """`w = w - lr * g`; with momentum, `v = momentum * v - lr * g`, then `w = w + v`.

    With `nesterov` the second step is `w = w + momentum * v - lr * g`. Source: Keras' `SGD`.
    The velocity has the learning rates of past updates in it. In torch's `SGD`, TF1's
    `MomentumOptimizer` and `momentum` here it has not; both agree only while the rate stays.
    """

    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.1

    kind: Literal["sgd"] = "sgd"
    momentum: Share = 0.0
    """The share of the last step that is added to the next."""
    nesterov: Flag = False
    """Whether to look ahead along the velocity."""

    def rests_without_gradient(self) -> bool:
        return self.momentum == 0.0


class Momentum(Optimizer):
    """`a = momentum * a + g`, then `w = w - lr * a`.

    Source: `tf.compat.v1.train.MomentumOptimizer`; torch's `SGD(momentum)` is the same. `sgd` with
    momentum, Keras', has the learning rate in the velocity; here a new rate acts at once.
    """

    rules: ClassVar[str] = "trainer.optimizers.keras_rules"
    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.01

    kind: Literal["momentum"] = "momentum"
    momentum: Share
    """The share of the accumulated gradients that stays at each update."""


class Nesterov(Optimizer):
    """`a = momentum * a + g`, then `w = w - lr * (g + momentum * a)`.

    Source: `tf.compat.v1.train.MomentumOptimizer(use_nesterov=True)`; torch's
    `SGD(momentum, nesterov=True)` is the same. `sgd` differs as it does from `momentum`.
    """

    rules: ClassVar[str] = "trainer.optimizers.keras_rules"
    by_rows: ClassVar[bool] = True
    tried: ClassVar[float | None] = 0.01

    kind: Literal["nesterov"] = "nesterov"
    momentum: Share
    """The share of the accumulated gradients that stays at each update."""
