"""What an optimizer is: a frozen declaration that builds an optimizer of Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schedules import Problem, Refused, Schedule
from schedules.declaration import Float32, Kind, did_you_mean, join_path

from ..scheduled import keras_internals
from ..scheduled.fields import Bounds, Driven, Value, bounds, driven, schedules_of
from .group import Group

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

UNGROUPED = ("kind", "global_clipnorm", "layer_decay", "groups")
"""Settings that hold for all weights; no group can replace them."""

Share = Annotated[Value, Bounds(ge=0, le=1)]
"""A part of something, up to all of it."""

Decay = Annotated[Value, Bounds(ge=0, lt=1)]
"""The share of a running mean that stays at each update; at 1 the mean would never move."""

Strength = Annotated[Value, Bounds(ge=0)]
"""A strength, which 0 switches off."""

Limit = Annotated[Value | None, Bounds(gt=0)]
"""A limit above 0; null for none."""

NormLimit = Annotated[Value | None, Bounds(gt=0, squared=True)]
"""A limit above 0 of a norm, which is worked out from squares; null for none."""


class Optimizer(Kind, family=True):
    """A rule that turns gradients into steps, with the parameter names and defaults of Keras.

    A subclass has the name and the settings of the class that it declares. A schedule may take the
    place of any number; its values reach the compiled update through `Dials`.

    Clipping comes first, and a global norm is over all groups. Weight decay is decoupled, in every
    kind: before its step an update takes `lr * weight_decay * w` off each weight. The learning rate
    scales the decay, as in torch's `AdamW` and unlike the paper (arXiv 1711.05101); torch's other
    optimizers add `weight_decay * w` to the gradient instead.

    A table of which a batch looks up some rows, as an embedding is, has a gradient of these rows.
    `sgd` without momentum and `adagrad`, without weight decay, touch no other row of it. Every
    other rule moves rows that a batch leaves out as well: momentum carries them on, means decay.
    So it does with `sparse: exact`, at the cost of the whole table. With `sparse: lazy` rows, their
    slots and their averages only move when they are looked up, and decay as if no update had come
    between: that is torch's `SparseAdam`, `tfa.optimizers.LazyAdam`, and what TensorFlow 1 does for
    `MomentumOptimizer`, `RMSPropOptimizer`, `AdadeltaOptimizer` and `FtrlOptimizer`. Corrections of
    a bias go by the updates of the run, not of the row, as in all of them.
    """

    key_hints: ClassVar[Mapping[str, str]] = {
        "learning_rate": "schedule=constant schedule.value=0.01",
        "lr": "schedule=constant schedule.value=0.01",
    }
    rules: ClassVar[str] = "keras.optimizers"
    """The module with the rule: a class of Keras optimizers with the name of the kind's class."""
    tried: ClassVar[float | None] = None
    """A peak of the learning rate that was tried and trains well; None for no such peak."""
    steady: ClassVar[bool] = False
    """Whether all weights shrink along with the learning rate, which so has to stay."""
    rate_bounds: ClassVar[Bounds] = Bounds(ge=0)
    """The learning rates that the rule can take."""
    averages: ClassVar[bool] = False
    """Whether what is learnt is not the weights that train but an average, which the rule's class
    gives by `average_of(weight)`: evaluations, exports and predictions are by those averages."""

    by_rows: ClassVar[bool] = False
    """Whether the rule works out each entry by itself, and so each row of a table."""

    kind: str
    sparse: Literal["exact", "lazy"] = "exact"
    """Whether a table of which a batch looks up some rows is updated as a whole, or lazily."""
    weight_decay: Annotated[Value | None, Bounds(ge=0)] = None
    """The share of each weight, times the learning rate, that every update takes away."""
    clipnorm: NormLimit = None
    """The greatest norm of one variable's gradient; a longer one is scaled down to it."""
    clipvalue: Limit = None
    """The greatest magnitude of a gradient's entry; a greater one is cut to it."""
    global_clipnorm: NormLimit = None
    """The greatest norm of all gradients together; longer ones are scaled down to it."""
    layer_decay: Annotated[Float32, Field(gt=0, le=1)] | None = None
    """The factor on learning rates from each layer with weights to the one before; null for 1."""
    groups: Mapping[str, Group] = Field(default={})
    """Weights with settings of their own, under a glob over paths, or under a name with `paths`."""

    @model_validator(mode="after")
    def _clips_once(self) -> Self:
        clips = ("clipnorm", "clipvalue", "global_clipnorm")
        clips_set = [name for name in clips if getattr(self, name) is not None]
        if len(clips_set) > 1:
            first, *others = clips_set
            rule = f"cannot be combined with {first}"
            problems = (Problem(name, getattr(self, name), rule) for name in others)
            raise PydanticCustomError("nested", "{refused}", {"refused": Refused(problems)})
        return self

    def contradictions(self) -> Iterator[Problem]:
        if self.sparse == "lazy" and not self.by_rows:
            rule = f"needs a rule that works out each row by itself, and {self.kind} does not"
            yield Problem("sparse", self.sparse, rule, "optimizer=adam, or sparse=exact")
        known_keys = {*type(self).model_fields, *Group.model_fields}.difference(UNGROUPED)
        for name, group in self.groups.items():
            if not name:
                yield Problem("groups", name, "must have a name", "write {biases: {paths: …}}, say")
                continue
            unknown = [key for key in group.settings if key not in known_keys]
            for key in unknown:
                rule = "holds for all weights alike" if key in UNGROUPED else "is no known key"
                hint = f"optimizer.{key}=…" if key in UNGROUPED else did_you_mean(key, known_keys)
                yield Problem(join_path("groups", name, key), group.settings[key], rule, hint)
            rate = group.learning_rate
            if isinstance(rate, float) and (rule := self.rate_bounds.fault(rate)):
                yield Problem(join_path("groups", name, "learning_rate"), rate, rule)
            if not unknown:
                try:
                    self.for_group(name)
                except Refused as refused:
                    for problem in refused.problems:
                        yield replace(problem, path=join_path("groups", name, problem.path))

    def touches(self) -> Literal["all", "same", "lazy"]:
        """Which rows of a table an update touches.

        `same` are those with a gradient, where the rule leaves all others as they are anyway;
        `lazy` are the same ones, where it would not; `all` leaves none out.
        """
        if self.by_rows and not self.weight_decay and self.rests_without_gradient():
            return "same"
        return "lazy" if self.sparse == "lazy" else "all"

    def rests_without_gradient(self) -> bool:
        """Whether neither an entry nor its slots change where its gradient is 0, but for decay."""
        return False

    def for_group(self, name: str) -> Self:
        """The optimizer of one group's weights: this one, with the group's settings."""
        settings = {
            field: getattr(self, field)
            for field in type(self).model_fields
            if field not in ("layer_decay", "groups")
        }
        return type(self).declared({**settings, **self.groups[name].settings})

    def driven(self) -> dict[str, Driven]:
        """Every value that a schedule drives, by its name on the tape, the groups' values last."""
        values = driven(self)
        for name, group in self.groups.items():
            settings = driven(self.for_group(name))
            replaced = {field: settings[field] for field in group.settings if field in settings}
            if schedule := group.freeze_schedule():
                replaced["frozen"] = Driven(("frozen_until",), schedule, Bounds(ge=0, le=1))
            for field, value in (driven(group) | replaced).items():
                path = ("groups", name, *value.path)
                limits = self.rate_bounds if field == "learning_rate" else value.bounds
                values[f"groups.{name}.{field}"] = value._replace(path=path, bounds=limits)
        return values

    def scheduled(self) -> dict[str, Schedule]:
        """The fields that a schedule drives, by name, in the order of their declaration."""
        return schedules_of(self)

    def bounds(self) -> dict[str, Bounds]:
        """What each schedulable value may be, by name, the learning rate first."""
        fields = {name: bounds(type(self), name) for name in type(self).model_fields}
        return {
            "learning_rate": self.rate_bounds,
            **{name: limits for name, limits in fields.items() if limits},
        }

    def arguments(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings as the constructor of the rule takes them."""
        return settings

    def build(
        self, dials: Dials | Mapping[str, Any], *, stateless: bool = False
    ) -> keras.optimizers.Optimizer:
        """Returns the Keras optimizer for the weights of one group.

        `dials` must have `learning_rate` and the names of `scheduled()`. Updates are applied
        within `Dials.showing(row)`; with `stateless`, within a `keras.StatelessScope` besides.
        """
        scheduled = self.scheduled()
        no_arguments = ("kind", "sparse", "layer_decay", "groups", *scheduled)
        fields = (name for name in type(self).model_fields if name not in no_arguments)
        settings = self.arguments({name: getattr(self, name) for name in fields})
        rule = getattr(import_module(self.rules), type(self).__name__)
        if stateless:
            rule = keras_internals.stateless(rule)
        # Some constructors check their numbers, so schedules are set afterwards. With the same
        # `name`, the variables of two optimizers in one process have the same names.
        optimizer = rule(learning_rate=dials["learning_rate"], name=self.kind, **settings)
        for name in scheduled:
            setattr(optimizer, name, dials[name])
        return optimizer
