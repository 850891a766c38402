"""A training step of the user's own in Keras' way: a `train_step` that `fit` calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tests.helpers.tasks import Twin


class Part(NamedTuple):
    """Some of the weights, with an optimizer of their own."""

    optimizer: keras.Optimizer
    begins: tuple[str, ...] = ("",)
    """What the paths of the weights begin with."""


class Stepped(keras.Model):  # type: ignore[misc]
    """A network whose `train_step` is a function that returns its loss, or one for each part."""

    def __init__(
        self,
        network: keras.Model,
        step: Callable[..., Any],
        parts: Mapping[str, Part],
        values: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.network = network
        self._step = step
        self._values = values
        self._mean = keras.metrics.Mean()
        self._parts = []
        for name, part in parts.items():
            weights = [w for w in network.trainable_variables if w.path.startswith(part.begins)]
            part.optimizer.build(weights)
            self._parts.append((name, part.optimizer, weights))

    def call(self, inputs: Any) -> Any:
        return self.network(inputs)

    @property
    def metrics(self) -> list[keras.Metric]:
        return [self._mean]

    def train_step(self, batch: Any) -> dict[str, Any]:
        settings = {}
        if self._values:
            done = self._parts[0][1].iterations
            values = {n: v(done) if callable(v) else v for n, v in self._values.items()}
            settings["values"] = values
        with tf.GradientTape(persistent=True) as tape:
            returned = self._step(self.network, batch, **settings)
            loss = returned[0] if isinstance(returned, tuple) else returned
            losses = loss if isinstance(loss, Mapping) else dict.fromkeys([""], loss)
            losses = {name: tf.reduce_mean(one) for name, one in losses.items()}
        for name, optimizer, weights in self._parts:
            own = losses.get(name, losses.get(""))
            gradients = tape.gradient(own, [weight.value for weight in weights])
            optimizer.apply(gradients, weights)
        self._mean.update_state(tf.add_n(list(losses.values())))
        return {"loss": self._mean.result()}


def fit_step(
    twin: Twin,
    parts: Mapping[str, Part] | keras.Optimizer,
    values: Mapping[str, Any] | None = None,
    *,
    step: Callable[..., Any] | None = None,
    updates: slice = slice(None),
) -> list[float]:
    """The losses of the updates that `fit` makes by a section's own step, one after another."""
    given = parts if isinstance(parts, Mapping) else {"": Part(parts)}
    step = step or twin.step
    takes_values = "values" in inspect.signature(step).parameters
    model = Stepped(twin.model, step, given, (values or {}) if takes_values else {})
    return twin.fit_losses(model, updates)
