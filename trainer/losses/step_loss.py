"""What training steps of the user's own have in common: a function from a network and a batch."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import PrivateAttr

from schedules import Schedule
from schedules.declaration import refuse
from schedules.declaration.functions import CODE_ERRORS

from ..data import Facts
from ..data.facts import Feature
from ..data.feeds.batch import Batch
from ..data.trees import Tree
from ..scheduled.fields import Bounds, Driven, Value
from .auto import Auto
from .loss import Forward, Loss, Measured, Outputs, StepNames

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..scheduled.dials import Dials
    from ..scheduled.draws import Draws


class StepLoss(Loss):
    """A loss that trains with a user's function, and evaluates with it or with another loss."""

    activation: ClassVar[str | None] = None
    measures_unknown: ClassVar[bool] = True

    evaluated: Loss | None = None
    """The loss of evaluations, by which runs that learn differently can be compared; null for what
    the function returns."""
    values: dict[str, Annotated[Value, Bounds()]] = {}  # noqa: RUF012  # pydantic copies a default
    """Numbers or schedules for a function that takes `values`, a dict of them; in evaluations those
    that a schedule drives are 1."""
    _shown: Loss | None = PrivateAttr(default=None)
    """What tells predictions from outputs, where those are compared with labels."""

    @property
    @abstractmethod
    def function_and_settings(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The user's function, and what it gets by name."""

    def call_function(
        self, model: keras.Model, batch: tuple[Any, ...], dials: Dials | None, *, training: bool
    ) -> Any:
        """Returns what the user's function returns; `dials` show the values while it trains."""
        function, settings = self.function_and_settings
        if takes(function, "training"):
            settings = {"training": training, **settings}
        if takes(function, "values"):
            settings = {"values": self._numbers(dials), **settings}
        return function(model, batch, **settings)

    def _numbers(self, dials: Dials | None) -> dict[str, tf.Tensor]:
        """The `values` of an update, by its dials, or those of an evaluation."""
        import tensorflow as tf

        def number(name: str, value: Value) -> Any:
            if not isinstance(value, Schedule):
                return value
            return 1.0 if dials is None else dials.live(f"loss_value_{name}", value)

        return {
            name: tf.convert_to_tensor(number(name, value), tf.float32)
            for name, value in self.values.items()
        }

    def driven(self, *path: str) -> dict[str, Driven]:
        return {
            f"loss_value_{name}": Driven((*path, "values", name), value, Bounds())
            for name, value in self.values.items()
            if isinstance(value, Schedule)
        }

    @property
    @abstractmethod
    def function_field(self) -> tuple[str, str]:
        """The name and the value of the field that names the function."""

    @property
    def compared(self) -> Loss | None:
        return self.evaluated

    def for_data(self, facts: Facts) -> Loss:
        if not facts.has_comparable_labels:
            return self.without_outputs()
        return self._shown_by((self.evaluated or Auto()).for_data(facts))

    def for_labels(self, labels: Any, facts: Facts) -> Loss:
        if self.evaluated is None:
            return self
        return self._shown_by(self.evaluated.for_labels(labels, facts))

    def for_outputs(self, shapes: Tree[tuple[int | None, ...]], facts: Facts) -> Loss:
        return self._shown_by(self._shown and self._shown.for_outputs(shapes, facts))

    def without_outputs(self) -> Loss:
        return self._shown_by(None)

    def _shown_by(self, shown: Loss | None) -> Loss:
        """The same with another loss for what outputs predict, and for evaluations if declared."""
        evaluated = None if self.evaluated is None else shown
        copied = self.model_copy(update={"evaluated": evaluated})
        copied._shown = shown
        return copied

    def marks(self, label: str = "") -> bool:
        return self._shown is not None and self._shown.marks(label)

    def suited(self, outputs: Tree[tf.Tensor], facts: Facts) -> Tree[tf.Tensor]:
        return self._shown.suited(outputs, facts) if self._shown else outputs

    def step(self, forward: Forward, batch: Batch, dials: Dials) -> Measured:
        import tensorflow as tf

        returned = self.call_function(forward.model, batch.arrays(), dials, training=True)
        losses, parts, by_group = _loss_and_parts(returned)
        means = {name: tf.reduce_mean(values) for name, values in parts.items()}
        return Measured(tf.reduce_mean(losses), means, by_group)

    def check_step(
        self, model: keras.Model, facts: Facts, dials: Dials, draws: Draws, batch_size: int
    ) -> StepNames:
        import tensorflow as tf

        def spec(feature: Feature) -> tf.TensorSpec:
            return tf.TensorSpec((batch_size, *feature.shape), feature.dtype)

        weights = tf.TensorSpec((batch_size,), tf.float32) if facts.weighted else None
        batch = Batch(facts.inputs, facts.labels).map(spec)._replace(weights=weights).arrays()
        variables = [weight.value for weight in model.trainable_variables]

        def differentiated(*batch: Any) -> tuple[Any, Any, Any, list[Any]]:
            row, drawing = tf.ones([len(dials.names)]), draws.keyed("update", 0, fused=False)
            with tf.GradientTape() as tape, dials.showing(row), drawing:
                tape.watch(variables)
                returned = self.call_function(model, batch, dials, training=True)
                loss, parts, by_group = _loss_and_parts(returned)
            floats = loss.dtype.is_floating
            gradients = tape.gradient(loss, variables) if floats else []
            return (
                loss,
                parts,
                dict(by_group),
                [gradient for gradient in gradients if gradient is not None],
            )

        field, name = self.function_field
        try:
            # Only traced, never run: the model's variables stay as they are.
            traced = tf.function(differentiated, autograph=False)
            loss, parts, by_group, gradients = traced.get_concrete_function(
                *batch
            ).structured_outputs
        except CODE_ERRORS as error:  # whatever the user's function raises
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            rule = f"raised {type(error).__name__}: {lines[-1] if lines else ''}"
            shapes = [list(x.shape) for x in tf.nest.flatten(batch[0])]
            listed = " and ".join(map(str, shapes))
            hint = f"it was given inputs of shape {listed}"
            raise refuse(f"loss.{field}", name, rule, hint) from error
        if not loss.dtype.is_floating or loss.shape.rank not in (0, 1):
            rule = f"returned {loss.dtype.name} of shape {loss.shape} for a batch of {batch_size}"
            hint = "return one float for the batch, or one for each example"
            raise refuse(f"loss.{field}", name, rule, hint)
        own = {f"loss_{name}" for name in by_group}
        for part, value in parts.items():
            rule = f"returned {part!r} of shape {value.shape} beside the loss"
            if value.shape.rank not in (0, 1):
                hint = "return one number for the batch, or one for each example"
                raise refuse(f"loss.{field}", name, rule, hint)
            if (not part.isidentifier() and part not in own) or part in TAKEN:
                hint = f"numbers by names, other than {', '.join(TAKEN)}"
                raise refuse(f"loss.{field}", name, rule, hint)
        if not gradients:
            rule = "returned what hangs on none of the model's weights"
            hint = "call the model that it is given, with training=True"
            raise refuse(f"loss.{field}", name, rule, hint)
        return StepNames(tuple(parts), tuple(by_group))

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        raise TypeError("a step makes outputs of its own")

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        if self.evaluated is None:
            raise TypeError("a step makes outputs of its own")
        return self.evaluated.evaluation(outputs, labels)

    def judged(
        self, forward: Forward, outputs: Outputs | None, batch: Batch, real: int
    ) -> dict[str, Any]:
        import tensorflow as tf

        if self.evaluated is not None:
            return self.evaluated.judged(forward, outputs, batch, real)
        returned = self.call_function(forward.model, batch.arrays(), None, training=False)
        losses, parts, _ = _loss_and_parts(returned)
        count = tf.constant(real, tf.float32)

        def total(values: tf.Tensor) -> tf.Tensor:
            # A number for the whole batch is that of each of its examples, as far as one can tell.
            return tf.reduce_mean(values[:real] if values.shape.rank else values) * count

        sums = {name: total(values) for name, values in parts.items()}
        return {"sum": total(losses), "count": count, **sums}

    def from_sums(self, sums: Mapping[str, float]) -> dict[str, float]:
        if self.evaluated is not None:
            return self.evaluated.from_sums(sums)
        means = {name: total / sums["count"] for name, total in sums.items() if name != "count"}
        return {"loss": means.pop("sum"), **means}

    def predictions(self, outputs: Tree[tf.Tensor]) -> Tree[tf.Tensor]:
        return self._shown.predictions(outputs) if self._shown else outputs


TAKEN = ("loss", "sum", "count", "step", "epoch", "updates_per_second")
"""Names that rows have already."""


def _loss_and_parts(
    returned: Any,
) -> tuple[tf.Tensor, dict[str, tf.Tensor], Mapping[str, tf.Tensor]]:
    """The loss in float32, the numbers that a function returned beside it, and the groups' losses.

    Of several losses the first is the sum, and each is a number of its own, `loss_NAME`.
    """
    import tensorflow as tf

    loss, parts = returned if isinstance(returned, tuple) else (returned, {})
    parts = {name: tf.cast(value, tf.float32) for name, value in parts.items()}
    if isinstance(loss, Mapping):
        by_group = {n: tf.reduce_mean(tf.cast(one, tf.float32)) for n, one in loss.items()}
        own = {f"loss_{name}": one for name, one in by_group.items()}
        return tf.add_n(list(by_group.values())), {**own, **parts}, by_group
    loss = tf.convert_to_tensor(loss)
    if loss.dtype.is_floating:
        loss = tf.cast(loss, tf.float32)
    return loss, parts, {}


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of that name, such as `training`."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
