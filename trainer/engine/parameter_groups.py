"""The optimizers of a network: one for each group of weights that are updated alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import tensorflow as tf

from schedules.declaration import ABSENT, float32_fault, refuse, within

from ..optimizers import Group, Optimizer, slots
from ..scheduled.dials import Dial, Dials
from .row_updates import apply_by_rows
from .weight_names import WeightNames

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


class Groups:
    """The optimizers of a model's trainable weights; every weight belongs to one group.

    Where the declaration has neither groups nor a layer decay, this is one optimizer of Keras and
    nothing besides.
    """

    def __init__(
        self, declared: Optimizer, model: keras.Model, dials: Dials, *, stateless: bool = False
    ) -> None:
        """Builds the optimizers, with `dials` for what is scheduled.

        With `stateless` they work within a `keras.StatelessScope`, and only there.

        Raises:
            Refused: when a glob matches no weight, or none that an earlier group has left.
        """
        self.stateless = stateless
        names = WeightNames(model)
        self._averages = declared.averages
        self._weights = list(model.trainable_variables)
        # Keras clips what one optimizer has; with several, the norm is over all of them.
        self._limit: Dial | float | None = None
        if declared.groups or declared.layer_decay:
            self._limit = dials.live("global_clipnorm", declared.global_clipnorm)
            declared = declared.model_copy(update={"global_clipnorm": None})
        group_of = _group_of(declared, names, [weight.path for weight in self._weights])
        self._group_of = group_of
        self._names = tuple(declared.groups)
        self._has_losses = False
        self._resting = _resting(declared, names, group_of)
        self._groups = [
            _group(group, layer, share, weights, declared, dials, stateless)
            for layer, share, held in _layers(declared, model)
            for group in dict.fromkeys(group_of.values())
            if (weights := [weight for weight in held if group_of[weight.path] == group])
        ]

    def follow(self, losses: Sequence[str]) -> None:
        """Lets the weights of each group follow the loss of its name.

        Raises:
            Refused: when a group has no loss, a loss no group, or a weight no group.
        """
        listed = ", ".join(losses)
        for name in losses:
            if name not in self._names:
                rule = f"has none called {name}, which the step returns a loss for"
                hint = f"optimizer.groups={{{name}: {{paths: ['…']}}}}"
                raise refuse("optimizer.groups", ", ".join(self._names) or None, rule, hint)
        for name in self._names:
            if name not in losses:
                rule = f"has no loss: the step returns those of {listed}"
                raise refuse(f"optimizer.groups.{name}", ABSENT, rule, "return one for it, too")
        for path, name in self._group_of.items():
            if not name:
                rule = f"leave out {path}, and a step that returns {listed} has no loss for it"
                hint = f"optimizer.groups.{losses[-1]}.paths=['{path}', …]"
                raise refuse("optimizer.groups", listed, rule, hint)
        self._has_losses = True

    def places(self, group: str | None, weights: Sequence[keras.Variable]) -> list[int]:
        """The numbers of a group's weights among some `weights`; of them all for None."""
        return [i for i, w in enumerate(weights) if group in (None, self._group_of[w.path])]

    @property
    def waits(self) -> bool:
        """Whether some weights are changed by some of the updates alone."""
        return any(group.every > 1 for group in self._groups)

    def apply(
        self,
        gradients: Sequence[tf.Tensor],
        weights: Sequence[keras.Variable] | None = None,
        step: tf.Tensor | int = 0,
    ) -> None:
        """Update number `step` of some `weights`, or all, within `dials.showing(row)`.

        A group that has none of them is not updated, nor is its count of updates.
        """
        weights = self._weights if weights is None else weights
        by_path = dict(zip((weight.path for weight in weights), gradients, strict=True))
        if self._limit is not None:
            limit = tf.convert_to_tensor(self._limit, tf.float32)
            # A norm over gradients of different losses would mean nothing.
            for name in self._names if self._has_losses else (None,):
                paths = [weights[i].path for i in self.places(name, weights)]
                if paths:
                    clipped, _ = tf.clip_by_global_norm([by_path[path] for path in paths], limit)
                    by_path |= zip(paths, clipped, strict=True)
        for group in self._groups:
            # A group is whole or not there.
            if group.weights[0].path in by_path:
                group.apply([by_path[weight.path] for weight in group.weights], step)

    def lazy_rows(
        self,
        gradients: Sequence[tf.Tensor | tf.IndexedSlices],
        weights: Sequence[keras.Variable],
    ) -> dict[str, tf.Tensor]:
        """The rows that lazy rules touch of their tables, by the tables' paths."""
        by_rows = self.by_rows(gradients, weights)
        lazy = {w.path for group in self._groups if group.rows == "lazy" for w in group.weights}
        return {weight.path: ids for weight, ids in by_rows if weight.path in lazy}

    def by_rows(
        self,
        gradients: Sequence[tf.Tensor | tf.IndexedSlices],
        weights: Sequence[keras.Variable],
    ) -> list[tuple[keras.Variable, tf.Tensor]]:
        """The tables of which only rows are updated, each with the ids of these rows."""
        group_of = {weight.path: group for group in self._groups for weight in group.weights}
        return [
            (weight, gradient.indices)
            for weight, gradient in zip(weights, gradients, strict=True)
            if group_of[weight.path].is_by_rows(weight, gradient)
        ]

    def frozen_at_first(self) -> tuple[str, ...]:
        """The groups that thaw, by the names under which they are declared."""
        return tuple(self._resting)

    def resting(self, frozen: Collection[str]) -> list[keras.Variable]:
        """The weights of the groups that are `frozen`, with those that keep what inputs were."""
        return [weight for name in frozen for weight in self._resting[name]]

    def applied(self) -> list[keras.Variable]:
        """The count of updates of each optimizer that makes every update."""
        steady = (group for group in self._groups if not group.thaws and group.every == 1)
        return [group.optimizer.iterations for group in steady]

    def averages(self) -> list[tf.Tensor] | None:
        """What is learnt, in the order of the weights, where that is averages that a rule keeps."""
        if not self._averages:
            return None
        average_of = {
            weight.path: group.optimizer.average_of(weight)
            for group in self._groups
            for weight in group.weights
        }
        return [average_of[weight.path] for weight in self._weights]

    def slots(self) -> dict[str, keras.Variable]:
        """Every variable of every optimizer, by name."""
        return {
            _joined(group.name, name): slot
            for group in self._groups
            for name, slot in slots(group.optimizer).items()
        }


def _group_of(declared: Optimizer, names: WeightNames, paths: Sequence[str]) -> dict[str, str]:
    """The name of each weight's group, by the weight's path: the first group with a glob for it.

    Weights that no group has are in the group without a name.
    """
    left = list(paths)
    group_of: dict[str, str] = {}
    for name, group in declared.groups.items():
        for glob in group.globs(name):
            if not any(names.matches(glob, path) for path in left):
                taken = [path for path in group_of if names.matches(glob, path)]
                owners = ", ".join(dict.fromkeys(group_of[path] for path in taken))
                rule = f"means only weights that {owners} has" if taken else "means no weight"
                with within("optimizer", "groups", name):
                    hint = names.some(paths)
                    raise refuse("paths" if group.paths else "", glob, rule, hint)
            group_of |= {path: name for path in left if names.matches(glob, path)}
            left = [path for path in left if path not in group_of]
    return group_of | dict.fromkeys(left, "")


def _resting(
    declared: Optimizer, names: WeightNames, group_of: Mapping[str, str]
) -> dict[str, list[keras.Variable]]:
    """What rests while a group is frozen, by the names of those that are at first.

    A weight that no optimizer changes, such as a running mean, is of the first group that means it.
    """

    def name_of(path: str) -> str | None:
        if path in group_of:
            return group_of[path]
        groups = declared.groups.items()
        meaning = (n for n, g in groups if any(names.matches(x, path) for x in g.globs(n)))
        return next(meaning, None)

    frozen = [name for name, group in declared.groups.items() if group.frozen_until]
    owners = [(weight, name_of(weight.path)) for weight in names.weights] if frozen else []
    return {name: [weight for weight, own in owners if own == name] for name in frozen}


def _layers(
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


def _group(
    group: str,
    layer: str,
    share: float,
    weights: list[keras.Variable],
    declared: Optimizer,
    dials: Dials,
    stateless: bool,
) -> ParameterGroup:
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
    label, every = _joined(group, layer), settings.every
    return ParameterGroup(label, weights, optimizer, thaws, own.touches(), every)


def _joined(*names: str) -> str:
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
