"""Steps along the gradient, plain or with momentum."""

from __future__ import annotations

from typing import ClassVar, Literal

from schedules.declaration import Flag

from .optimizer import Optimizer, Share


class SGD(Optimizer):
    """`w = w - lr * g`; with momentum, `v = momentum * v - lr * g`, then `w = w + v`.

    With `nesterov` the second step is `w = w + momentum * v - lr * g`. Source: Keras' `SGD`.
    The velocity holds learning rates of the past: torch's `SGD` and TF1's `MomentumOptimizer` keep
    them out, as `momentum` does here, which is the same thing only while the rate stays.
    """

    tried: ClassVar[float | None] = 0.1

    kind: Literal["sgd"] = "sgd"
    momentum: Share = 0.0
    """How much of the last step goes on."""
    nesterov: Flag = False
    """Whether to look ahead along the velocity."""


class Momentum(Optimizer):
    """`a = momentum * a + g`, then `w = w - lr * a`.

    Source: `tf.compat.v1.train.MomentumOptimizer`; torch's `SGD(momentum)` is the same. `sgd` with
    momentum, Keras', folds the learning rate into the velocity; here a new rate acts at once.
    """

    rules: ClassVar[str] = "trainer.optimizers.keras_rules"
    tried: ClassVar[float | None] = 0.01

    kind: Literal["momentum"] = "momentum"
    momentum: Share
    """How much of the accumulated gradients goes on."""


class Nesterov(Optimizer):
    """`a = momentum * a + g`, then `w = w - lr * (g + momentum * a)`.

    Source: `tf.compat.v1.train.MomentumOptimizer(use_nesterov=True)`; torch's
    `SGD(momentum, nesterov=True)` is the same. `sgd` differs as it does from `momentum`.
    """

    rules: ClassVar[str] = "trainer.optimizers.keras_rules"
    tried: ClassVar[float | None] = 0.01

    kind: Literal["nesterov"] = "nesterov"
    momentum: Share
    """How much of the accumulated gradients goes on."""
