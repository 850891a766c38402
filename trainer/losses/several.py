"""The loss of a network with several outputs: a sum of losses, each with its weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from schedules import Schedule
from schedules.declaration import did_you_mean, join_path, refuse
from schedules.declaration.by_name import words_as_kinds

from ..data import Facts
from ..data.label_task import Task
from ..data.trees import Tree
from ..scheduled.fields import Bounds, Driven, Value
from .loss import Loss, Measured, Outputs, mean_loss

if TYPE_CHECKING:
    import tensorflow as tf

    from ..data.feeds.batch import Batch
    from ..scheduled.dials import Dials
    from .loss import Forward

WEIGHT = Bounds(ge=0)

LossesByLabel = Annotated[dict[str, Loss], BeforeValidator(words_as_kinds)]
"""Losses by the names of the labels that they are for; a word stands for the loss of that kind."""
Weights = dict[str, Annotated[Value, WEIGHT]]
"""What the losses count for, by the names of their labels: numbers or schedules."""


class Several(Loss):
    """`w_1 * loss_1 + w_2 * loss_2 + …` over the labels, each with its own output and loss.

    A weight is a number or a schedule, and 1 where it is left out, so that an annealed part of a
    loss is one override: `loss.weights.aux={kind: linear, initial_value: 0, end_value: 1}`. Rows
    have each part as `loss_NAME`, before its weight; evaluations have `eval_loss_NAME`, and in
    their sum a scheduled weight counts as 1, so that all evaluations of a run can be compared.
    Keras' `compile(loss={…}, loss_weights={…})` is the same with numbers for weights.
    """

    kind: Literal["several"] = "several"
    outputs: LossesByLabel
    """The loss of each label, by its name."""
    weights: Weights = {}  # noqa: RUF012  # pydantic copies a default
    """What the loss of each counts for; 1 if left out."""

    @classmethod
    def of(
        cls, outputs: Mapping[str, Loss], weights: Mapping[str, Value], rest: Loss, facts: Facts
    ) -> Loss:
        """The sum for the labels of `facts`, those that have no loss with one like `rest`.

        Raises:
            Refused: when a loss or a weight is for no label, or a loss does not suit its own.
        """
        assert isinstance(facts.labels, Mapping)
        losses = {name: outputs.get(name, rest) for name in facts.labels} | dict(outputs)
        return cls(outputs=losses, weights=dict(weights))

    def asked_tasks(self) -> dict[str, Task]:
        each = {name: one.asked_tasks()[""] for name, one in self.outputs.items()}
        return {"": "auto", **each}

    def for_data(self, facts: Facts) -> Loss:
        self._check(facts)
        return self._with({n: one.for_data(facts.for_label(n)) for n, one in self._named()})

    def _check(self, facts: Facts) -> None:
        """Checks that every label has a loss, and every loss and weight a label.

        Raises:
            Refused: naming the first that is one too many or too few.
        """
        if not isinstance(facts.labels, Mapping):
            raise refuse("kind", self.kind, "is for several labels, and the data has one", "auto")
        for field in ("outputs", "weights"):
            for name in getattr(self, field):
                if name not in facts.labels:
                    rule = f"is no label: {', '.join(facts.labels)}"
                    raise refuse(field, name, rule, did_you_mean(name, facts.labels))
        if missing := [name for name in facts.labels if name not in self.outputs]:
            hint = f"loss.outputs.{missing[0]}={{kind: auto}}"
            raise refuse("outputs", list(self.outputs), f"has none for {missing[0]}", hint)

    def for_labels(self, labels: Any, facts: Facts) -> Loss:
        self._check(facts)
        each = {n: one.for_labels(labels[n], facts.for_label(n)) for n, one in self._named()}
        return self._with(each)

    def for_outputs(self, shapes: Tree[tuple[int | None, ...]], facts: Facts) -> Loss:
        assert isinstance(shapes, Mapping)
        each = {n: one.for_outputs(shapes[n], facts.for_label(n)) for n, one in self._named()}
        return self._with(each)

    def suited(self, outputs: Tree[tf.Tensor], facts: Facts) -> Tree[tf.Tensor]:
        assert isinstance(outputs, Mapping)
        return {n: one.suited(outputs[n], facts.for_label(n)) for n, one in self._named()}

    def step(self, forward: Forward, batch: Batch, dials: Dials) -> Measured:
        import tensorflow as tf

        values, masks = forward(batch.inputs, training=True)
        assert isinstance(values, Mapping)
        assert isinstance(masks, Mapping)
        parts = {}
        for name, one in self._named():
            losses = one.training(values[name], batch.labels[name], dials.prefixed(f"{name}_"))
            parts[f"loss_{name}"] = mean_loss(losses, batch.weights, masks[name])
        total = tf.add_n(
            [self._weight(name, dials) * parts[f"loss_{name}"] for name in self.outputs]
        )
        if penalties := forward.penalties():
            parts["penalties"] = tf.add_n(penalties)
            total += parts["penalties"]
        return Measured(total, parts)

    def part_names(self) -> tuple[str, ...]:
        return tuple(f"loss_{name}" for name in self.outputs)

    def driven(self, *path: str) -> dict[str, Driven]:
        return driven_of_labels(self.outputs, self.weights, *path)

    def code(self) -> Iterator[tuple[str, str]]:
        for name, one in self._named():
            for path, call in one.code():
                yield join_path("outputs", name, path), call

    def training(self, outputs: Any, labels: Any, dials: Dials) -> tf.Tensor:
        raise TypeError("each label has its own")

    def evaluation(self, outputs: Any, labels: Any) -> tf.Tensor:
        raise TypeError("each label has its own")

    def sums(
        self, outputs: Outputs, labels: Tree[tf.Tensor], weights: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        values, masks = outputs
        assert isinstance(values, Mapping)
        assert isinstance(masks, Mapping)
        return {
            f"{name}/{part}": value
            for name, one in self._named()
            for part, value in one.sums(
                Outputs(values[name], masks[name]), labels[name], weights
            ).items()
        }

    def from_sums(self, sums: Mapping[str, float]) -> dict[str, float]:
        parts = {
            name: one.from_sums(
                {k.removeprefix(f"{name}/"): v for k, v in sums.items() if k.startswith(f"{name}/")}
            )["loss"]
            for name, one in self._named()
        }
        weights = {n: 1.0 if isinstance(w, Schedule) else w for n, w in self.weights.items()}
        total = sum(weights.get(name, 1.0) * part for name, part in parts.items())
        return {"loss": total, **{f"loss_{name}": part for name, part in parts.items()}}

    def predictions(self, outputs: Tree[tf.Tensor]) -> Tree[tf.Tensor]:
        assert isinstance(outputs, Mapping)
        return {name: one.predictions(outputs[name]) for name, one in self._named()}

    def marks(self, label: str = "") -> bool:
        return self.outputs[label].marks()

    def _named(self) -> list[tuple[str, Loss]]:
        return list(self.outputs.items())

    def _weight(self, name: str, dials: Dials) -> Any:
        return dials.live(f"loss_weight_{name}", self.weights.get(name, 1.0))

    def _with(self, outputs: dict[str, Loss]) -> Loss:
        return self.model_copy(update={"outputs": outputs})


def driven_of_labels(
    outputs: Mapping[str, Loss], weights: Mapping[str, Value], *path: str
) -> dict[str, Driven]:
    """What drives the losses of several labels, and their weights, by their names on the tape."""
    values = {
        f"{label}_{name}": value
        for label, one in outputs.items()
        for name, value in one.driven(*path, "outputs", label).items()
    }
    for name, weight in weights.items():
        if isinstance(weight, Schedule):
            values[f"loss_weight_{name}"] = Driven((*path, "weights", name), weight, WEIGHT)
    return values
