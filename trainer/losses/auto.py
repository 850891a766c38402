"""The loss that suits the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np

from schedules import Schedule
from schedules.declaration import Flag, refuse

from ..data import Facts
from ..data.label_task import Task, marks_classes
from ..scheduled.fields import Bounds, Driven, Value
from .classes import ClassWeights, CrossEntropy
from .loss import Loss
from .several import LossesByLabel, Several, Weights, driven_of_labels

if TYPE_CHECKING:
    import tensorflow as tf

    from ..scheduled.dials import Dials


class Auto(Loss):
    """`cross_entropy` where labels name a class, `mean_squared_error` where they are numbers.

    Its settings are for classes, and are refused where labels are numbers. Rows that tell of
    several classes how far each is right may be meant either way, and are asked about. Of several
    labels it is the sum of what suits each: see `several`.
    """

    activation: ClassVar[str | None] = CrossEntropy.activation

    kind: Literal["auto"] = "auto"
    label_smoothing: Annotated[Value, Bounds(ge=0, lt=1)] = 0.0
    """The share of each label that is spread evenly over all classes."""
    class_weights: ClassWeights = None
    """What an example of each class counts for in training, by its number; or `balanced`."""
    from_logits: Flag = True
    """Whether the network gives logits; false for one that ends in a softmax."""

    outputs: LossesByLabel = {}  # noqa: RUF012  # pydantic copies a default
    """Where there are several labels: the losses of some of them, by name; the others get the one
    that suits them."""
    weights: Weights = {}  # noqa: RUF012
    """Where there are several labels: what the loss of each counts for, by name; 1 if left out."""

    def asked_tasks(self) -> dict[str, Task]:
        each = {name: one.asked_tasks()[""] for name, one in self.outputs.items()}
        return {"": "auto", **each}

    def for_data(self, facts: Facts) -> Loss:
        if isinstance(facts.labels, Mapping):
            return self._several(facts).for_data(facts)
        for name in ("outputs", "weights"):
            if getattr(self, name):
                rule = "is for data with several labels, and this has one"
                raise refuse(name, ", ".join(getattr(self, name)), rule, f"leave {name} out")
        settings: dict[str, Any] = {
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
        }
        if facts.task == "classes":
            return CrossEntropy(from_logits=self.from_logits, **settings).for_data(facts)
        for name, value in settings.items():
            if value not in (0, None):
                written = value.kind if isinstance(value, Schedule) else value
                rule = "is for labels that are classes, and the labels are numbers"
                raise refuse(name, written, rule, f"leave {name} out")
        from .distances import MeanSquaredError

        return MeanSquaredError()

    def for_labels(self, labels: Any, facts: Facts) -> Loss:
        if isinstance(facts.labels, Mapping):
            return self._several(facts).for_labels(labels, facts)
        is_row = facts.classes is None and len(facts.label.shape) == 1
        if is_row and marks_classes(np.asarray(labels)):
            rule = "would train rows of 0 and 1, or of shares of 1, by squared error"
            hint = "loss=binary_cross_entropy, or loss=mean_squared_error if that is meant"
            raise refuse("kind", self.kind, rule, hint)
        return self.for_data(facts).for_labels(labels, facts)

    def _several(self, facts: Facts) -> Loss:
        """The sum for several labels."""
        rest = self.model_copy(update={"outputs": {}, "weights": {}})
        return Several.of(self.outputs, self.weights, rest, facts)

    def driven(self, *path: str) -> dict[str, Driven]:
        return {**super().driven(*path), **driven_of_labels(self.outputs, self.weights, *path)}

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        raise TypeError("`for_data` returns the loss to use")

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        raise TypeError("`for_data` returns the loss to use")
