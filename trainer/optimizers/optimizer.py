"""What an optimizer is: a frozen declaration that builds an optimizer of Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schedules import Problem, Refused, Schedule
from schedules.declaration import Kind, Number, did_you_mean, joined, refuse

from ..scheduled.fields import Bounds, Driven, Value, bounds, driven, schedules_of
from .group import Group

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

FOR_ALL = ("kind", "global_clipnorm", "layer_decay", "groups")
"""What no group can have for itself."""

Share = Annotated[Value, Bounds(ge=0, le=1)]
"""A part of something, up to all of it."""

Decay = Annotated[Value, Bounds(ge=0, lt=1)]
"""What share of a running mean stays at each update; at 1 it would never move."""

Strength = Annotated[Value, Bounds(ge=0)]
"""Something that 0 switches off."""

Limit = Annotated[Value | None, Bounds(gt=0)]
"""A limit above 0; null for none."""


class Optimizer(Kind, family=True):
    """A rule that turns gradients into steps, with the parameter names and defaults of Keras.

    A subclass is named like the class it declares and holds its settings. Any that is a number
    may be a schedule instead; the schedule's values reach the compiled update through `Dials`.

    Clipping comes first, and a global norm is over all groups. Weight decay is decoupled, in every
    kind: before its step an update takes `lr * weight_decay * w` off each weight. It is scaled by
    the learning rate, as in torch's `AdamW` and unlike the paper's (arXiv 1711.05101); torch's
    other optimizers add `weight_decay * w` to the gradient instead.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {
        "learning_rate": "schedule=constant schedule.value=0.01",
        "lr": "schedule=constant schedule.value=0.01",
    }
    rules: ClassVar[str] = "keras.optimizers"
    """The module that has the optimizer, under the name of the kind's class."""
    since: ClassVar[tuple[int, int]] = (3, 12)
    """The first Keras that has the rule with all these settings."""
    tried: ClassVar[float | None] = None
    """A peak of the learning rate that was tried, and trains well; None where nobody has."""
    rates: ClassVar[Bounds] = Bounds(ge=0)
    """The learning rates that the rule can follow."""

    kind: str
    weight_decay: Annotated[Value | None, Bounds(ge=0)] = None
    """The share of each weight, times the learning rate, that every update takes away."""
    clipnorm: Limit = None
    """The greatest norm of one variable's gradient; a longer one is scaled down to it."""
    clipvalue: Limit = None
    """The greatest magnitude of a gradient's entry; a greater one is cut to it."""
    global_clipnorm: Limit = None
    """The greatest norm of all gradients together; longer ones are scaled down to it."""
    layer_decay: Annotated[Number, Field(gt=0, le=1)] | None = None
    """The factor on learning rates from each layer with weights to the one before; null for 1."""
    groups: Mapping[str, Group] = Field(default={})
    """Weights that are updated otherwise, by a glob over paths, or by a name with `paths`."""

    @model_validator(mode="after")
    def _clips_once(self) -> Self:
        clips = ("clipnorm", "clipvalue", "global_clipnorm")
        first, *others = [name for name in clips if getattr(self, name) is not None] or [""]
        if others:
            rule = f"cannot be combined with {first}"
            problems = (Problem(name, getattr(self, name), rule) for name in others)
            raise PydanticCustomError("nested", "{refused}", {"refused": Refused(problems)})
        return self

    def contradictions(self) -> Iterator[Problem]:
        known = {*type(self).model_fields, *Group.model_fields}.difference(FOR_ALL)
        for name, group in self.groups.items():
            if not name:
                yield Problem("groups", name, "must have a name", "write {biases: {paths: …}}, say")
                continue
            odd = [key for key in group.settings if key not in known]
            for key in odd:
                rule = "holds for all weights alike" if key in FOR_ALL else "is no known key"
                hint = f"optimizer.{key}=…" if key in FOR_ALL else did_you_mean(key, known)
                yield Problem(joined("groups", name, key), group.settings[key], rule, hint)
            rate = group.learning_rate
            if isinstance(rate, float) and not self.rates.admit(rate):
                yield Problem(
                    joined("groups", name, "learning_rate"), rate, f"must be {self.rates}"
                )
            if not odd:
                try:
                    self.of_group(name)
                except Refused as refused:
                    for problem in refused.problems:
                        yield replace(problem, path=joined("groups", name, problem.path))

    def check_installed(self) -> None:
        """Asks, without importing it, whether the installed Keras has the rule.

        Raises:
            Refused: when it is too old a Keras.
        """
        installed = version("keras")
        if tuple(map(int, installed.split(".")[:2])) < self.since:
            major, minor = self.since
            rule = f"needs Keras {major}.{minor}, and {installed} is installed"
            hint = "optimizer=adamw, say; or Python 3.11 or later, which gets a newer Keras"
            raise refuse("kind", self.kind, rule, hint)

    def of_group(self, name: str) -> Self:
        """The optimizer of one group's weights: this one, with the group's settings."""
        own = {
            field: getattr(self, field)
            for field in type(self).model_fields
            if field not in ("layer_decay", "groups")
        }
        return type(self).declared({**own, **self.groups[name].settings})

    def driven(self) -> dict[str, Driven]:
        """Every value that a schedule drives, by its name on the tape; the groups' come last."""
        values = driven(self)
        for name, group in self.groups.items():
            settings = driven(self.of_group(name))
            own = {field: settings[field] for field in group.settings if field in settings}
            if schedule := group.frozen():
                own["frozen"] = Driven(("frozen_until",), schedule, Bounds(ge=0, le=1))
            for field, value in (driven(group) | own).items():
                path = ("groups", name, *value.path)
                limits = self.rates if field == "learning_rate" else value.bounds
                values[f"groups.{name}.{field}"] = value._replace(path=path, bounds=limits)
        return values

    def scheduled(self) -> dict[str, Schedule]:
        """The fields that a schedule drives, by name, in the order of their declaration."""
        return schedules_of(self)

    def bounds(self) -> dict[str, Bounds]:
        """What each schedulable value may be, by name, the learning rate first."""
        fields = {name: bounds(type(self), name) for name in type(self).model_fields}
        return {
            "learning_rate": self.rates,
            **{name: limits for name, limits in fields.items() if limits},
        }

    def build(self, dials: Dials | Mapping[str, Any]) -> keras.optimizers.Optimizer:
        """The optimizer for weights of one group, the learning rate and scheduled fields on dials.

        `dials` must have `learning_rate` and the names of `scheduled()`. Updates are applied
        within `Dials.showing(row)`.
        """
        scheduled = self.scheduled()
        elsewhere = ("kind", "layer_decay", "groups", *scheduled)
        settings = {
            name: getattr(self, name) for name in type(self).model_fields if name not in elsewhere
        }
        rule = getattr(import_module(self.rules), type(self).__name__)
        # The constructor sees only floats, which some check; named, so that the variables of two
        # optimizers in one process have the same names.
        optimizer = rule(learning_rate=dials["learning_rate"], name=self.kind, **settings)
        for name in scheduled:
            setattr(optimizer, name, dials[name])
        return optimizer
