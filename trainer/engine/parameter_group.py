"""Weights that are updated alike, and the optimizer that is built for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import tensorflow as tf

from schedules.declaration import float32_fault, refuse

from ..optimizers import Group, Optimizer
from ..scheduled.dials import Dial, Dials
from .row_updates import apply_by_rows

Rate = Callable[[], tf.Tensor]


@dataclass(frozen=True)
class ParameterGroup:
    """Weights that share an optimizer: those of one group, or of one layer of it."""

    name: str
    weights: list[keras.Variable]
    optimizer: keras.optimizers.Optimizer
    thaws: bool
    """Whether the weights are frozen at first."""
    rows: Literal["all", "same", "lazy"]
    """Which rows of a table an update touches; see `Optimizer.touches`."""
    every: int
    """Which updates change the weights: each whose number, counted from 1, this divides."""

    def apply(
        self, gradients: Sequence[tf.Tensor | tf.IndexedSlices], step: tf.Tensor | int
    ) -> None:
        """Update number `step`, counted from 0, unless the weights wait for another."""

        def update() -> tf.Tensor:
            self._update(gradients)
            return tf.constant(True)

        if self.every == 1:
            update()
        else:
            due = (step + 1) % self.every == 0
            tf.cond(due, update, lambda: tf.constant(False))

    def _update(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices]) -> None:
        """One update by the gradients of the weights."""
        pairs = list(zip(self.weights, gradients, strict=True))
        if any(self.is_by_rows(*pair) for pair in pairs):
            # What has a constraint is made whole, which Keras then puts on all of it.
            suited = [x if self.is_by_rows(w, x) else tf.convert_to_tensor(x) for w, x in pairs]
            apply_by_rows(self.optimizer, suited, self.weights)
        else:
            self.optimizer.apply(gradients, self.weights)

    def is_by_rows(self, weight: keras.Variable, gradient: tf.Tensor | tf.IndexedSlices) -> bool:
        """Whether an update touches only the rows of a weight that its gradient has."""
        has_rows = isinstance(gradient, tf.IndexedSlices) and weight.constraint is None
        return has_rows and self.rows != "all"


def parameter_group(
    group: str,
    layer: str,
    share: float,
    weights: list[keras.Variable],
    declared: Optimizer,
    dials: Dials,
    stateless: bool,
) -> ParameterGroup:
    """The weights of a `group` in a `layer`, which takes a `share` of the learning rate."""
    settings = declared.groups.get(group) or Group.declared({})
    own = declared.for_group(group) if group else declared
    live: dict[str, Any] = {
        field: dials[f"groups.{group}.{field}" if field in settings.settings else field]
        for field in own.scheduled()
    }
    live["learning_rate"] = _rate(group, settings, share, dials)
    optimizer = own.build(live, stateless=True) if stateless else own.build(live)
    optimizer.build(weights)
    thaws = settings.frozen_until is not None
    label, every = joined(group, layer), settings.every
    return ParameterGroup(label, weights, optimizer, thaws, own.touches(), every)


def layers(
    declared: Optimizer, model: keras.Model
) -> Iterator[tuple[str, float, list[keras.Variable]]]:
    """The layers from the last one on, each with its share of learning rates, and its weights.

    A weight that layers share counts for the last of them. Without a layer decay the whole model
    is one layer, without a name.
    """
    if declared.layer_decay is None:
        yield "", 1.0, model.trainable_variables
        return
    taken: set[str] = set()
    depth = 0
    for layer in reversed(model.layers):
        weights = [weight for weight in layer.trainable_variables if weight.path not in taken]
        if weights:
            share = declared.layer_decay**depth
            if rule := float32_fault(share):
                rule = f"to the power of {depth}, for {layer.name}, {rule}"
                raise refuse("optimizer.layer_decay", declared.layer_decay, rule)
            yield layer.name, share, weights
            taken |= {weight.path for weight in weights}
            depth += 1


def joined(*names: str) -> str:
    """The name of what is within something: both names, where they are not empty."""
    return "/".join(filter(None, names))


def _rate(name: str, group: Group, share: float, dials: Dials) -> Rate:
    """The learning rate of a group's weights in a layer that takes a share of it."""
    rate: Dial | float = dials["learning_rate"]
    if group.learning_rate is not None:
        rate = dials.live(f"groups.{name}.learning_rate", group.learning_rate)
    factor = dials.live(f"groups.{name}.learning_rate_factor", group.learning_rate_factor)
    if isinstance(rate, Dial) and not isinstance(factor, Dial) and factor == share == 1:
        return rate
    return lambda: tf.convert_to_tensor(rate, tf.float32) * (factor * share)
