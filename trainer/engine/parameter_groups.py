"""The optimizers of a network: one for each group of weights that are updated alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import keras
import tensorflow as tf

from schedules.declaration import ABSENT, refuse, within

from ..optimizers import Optimizer, slots
from ..scheduled.dials import Dial, Dials
from .parameter_group import joined, layers, parameter_group
from .weight_names import WeightNames


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
            parameter_group(group, layer, share, weights, declared, dials, stateless)
            for layer, share, held in layers(declared, model)
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
            joined(group.name, name): slot
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
