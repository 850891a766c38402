"""Parameter groups: some of the weights, updated with other settings than the rest."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from schedules import Schedule
from schedules.declaration import Declaration, Problem, Whole
from schedules.kinds.piecewise import PiecewiseConstant
from schedules.schedule import Length

from ..scheduled.fields import Bounds, Value


class Group(Declaration):
    """Some of the weights, with settings of the optimizer that differ from those of the rest.

    Globs over the paths of weights (`model/dense_1/kernel`), with or without the model's own name,
    or with the name of the network that they are nested in (`base/conv/kernel`), choose the
    weights; `*` reaches over slashes. A weight belongs to the first group with a glob that matches,
    in the order of writing, and to the rest where no glob matches.

    The group's learning rate is the experiment's, with warmup and cooldown, times a factor; or a
    rate of its own. Until `frozen_until` neither its weights nor their slots change, no gradients
    are computed for it, and its optimizer's count of updates stays at 0. A layer all of whose
    weights are frozen is at rest: a batch normalization uses its running statistics and leaves
    them, as Keras has it with `layer.trainable = False`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any]

    paths: tuple[str, ...] = ()
    """The globs; without any, the group's name is the glob."""
    learning_rate: Annotated[Value | None, Bounds(ge=0)] = None
    """A learning rate of its own, which nothing wraps; null for the experiment's."""
    learning_rate_factor: Annotated[Value, Bounds(ge=0)] = 1.0
    """The factor on the experiment's learning rate."""
    frozen_until: Length | None = None
    """How long its weights stay as they are; null for not at all."""

    every: Annotated[Whole, Field(ge=1)] = 1
    """Which updates change its weights: each with a number, counted from 1, that this divides."""

    @property
    def settings(self) -> dict[str, Any]:
        """The optimizer's settings that the group replaces, as written."""
        return self.__pydantic_extra__

    def contradictions(self) -> Iterator[Problem]:
        if self.learning_rate is not None and self.learning_rate_factor != 1:
            rule = "is of the experiment's learning rate, and this group has one of its own"
            hint = "leave out one of the two"
            yield Problem("learning_rate_factor", self.learning_rate_factor, rule, hint)

    def globs(self, name: str) -> tuple[str, ...]:
        """The globs of the group called `name`."""
        return self.paths or (name,)

    def freeze_schedule(self) -> Schedule | None:
        """A schedule that is 1 while the weights are frozen, then 0; None where they never are."""
        if self.frozen_until is None:
            return None
        return PiecewiseConstant(
            boundaries=(self.frozen_until,), values=(1.0, 0.0), boundary="exclusive"
        )


def matches(glob: str, path: str) -> bool:
    """Whether a glob matches the path of a weight, with or without the model's name.

    >>> matches("*/bias", "model/dense_1/bias"), matches("dense_1/*", "model/dense_1/bias")
    (True, True)
    """
    return fnmatchcase(path, glob) or fnmatchcase(path.partition("/")[2], glob)
