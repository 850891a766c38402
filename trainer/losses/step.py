"""A training step of the user's own that a config names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from schedules.declaration.functions import CallsFunction

from ..data import Facts
from .loss import Loss
from .step_loss import StepLoss


class Step(CallsFunction, StepLoss):
    """What the function `call` returns for the model, a batch and `kwargs`.

    `call(model, (inputs, labels))` runs the network as often as it likes, with `model(inputs,
    training=True)`, and returns one loss for the batch or one for each example, of which the mean
    is taken. It may return a pair, of the loss and of other such numbers by name, which rows then
    have: `return loss, {"kl": kl}`. Several networks have a loss each, by the names of
    `optimizer.groups`: `return {"generator": g, "discriminator": d}`. A group's weights then follow
    their own loss alone, whose gradients alone count for its `global_clipnorm`; the loss of rows is
    the sum, and each is `loss_NAME`. Where examples have weights, the batch is `(inputs, labels,
    weights)`. It is TensorFlow (or `keras.ops`) code, traced once. Updates, live values, clipping,
    groups, averages and micro-batches (with parts of a batch) are those of any loss. Losses that
    layers add, such as regularizers, count only if the function adds them:
    `tf.add_n(model.losses)`.

    Evaluations call the same function on the test examples, with `training=False` if it takes
    that, and change nothing of the network; or they have another loss, `evaluated`. It is called
    with batches of one size alone, that of an update's micro-batch: the last of the test examples
    are filled up with some of them over again. Of a loss for each example those don't count, so
    that `eval_loss` is the exact mean; a number for a batch counts as often as the batch has
    examples of its own.
    """

    kind: Literal["step"] = "step"

    def for_data(self, facts: Facts) -> Loss:
        _ = self.function  # imports it
        return super().for_data(facts)

    @property
    def function_and_settings(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        return self.function, dict(self.kwargs)

    @property
    def function_field(self) -> tuple[str, str]:
        return "call", self.call
