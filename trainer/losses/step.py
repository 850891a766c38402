"""A training step of the user's own: a function from a network and a batch to a loss."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from types import CodeType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import PrivateAttr

from schedules import Schedule
from schedules.declaration import ABSENT, refuse
from schedules.declaration.functions import CODE_ERRORS, CallsFunction

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


class _StepLoss(Loss):
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
            values = {
                name: 1.0
                if dials is None and isinstance(value, Schedule)
                else dials.live(f"loss_value_{name}", value)
                if dials is not None
                else value
                for name, value in self.values.items()
            }
            settings = {
                "values": {n: tf_number(value) for n, value in values.items()},
                **settings,
            }
        return function(model, batch, **settings)

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
        shown = (self.evaluated or Auto()).for_data(facts)
        return self._shown_by(shown)

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

    def suited(self, outputs: Tree[tf.Tensor], facts: Facts) -> Tree[tf.Tensor]:
        return self._shown.suited(outputs, facts) if self._shown else outputs

    def step(self, forward: Forward, batch: Batch, dials: Dials) -> Measured:
        import tensorflow as tf

        returned = self.call_function(forward.model, batch.arrays(), dials, training=True)
        losses, parts, by_group = _loss_and_parts(returned)
        return Measured(tf.reduce_mean(losses), parts, by_group)

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
            if (
                (not part.isidentifier() and part not in own)
                or part in TAKEN
                or value.shape.rank != 0
            ):
                rule = f"returned {part!r} of shape {value.shape} beside the loss"
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
        # A number for the whole batch is that of each of its examples, as far as one can tell.
        sums = {name: value * real for name, value in parts.items()}
        own = losses[:real] if losses.shape.rank else losses
        count = tf.constant(real, tf.float32)
        return {"sum": tf.reduce_mean(own) * count, "count": count, **sums}

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


def tf_number(value: Any) -> tf.Tensor:
    """A number, or what stands for one, in float32."""
    import tensorflow as tf

    return tf.convert_to_tensor(value, tf.float32)


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of that name, such as `training`."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


class Step(CallsFunction, _StepLoss):
    """What the function `call` returns for the model, a batch and `kwargs`.

    `call(model, (inputs, labels))` runs the network as often as it likes, with
    `model(inputs, training=True)`, and returns one loss for the batch or one for each example, of
    which the mean is taken. It may return a pair, of the loss and of other numbers by name, which
    rows then have: `return loss, {"kl": kl}`. Several networks have a loss each, by the names of
    `optimizer.groups`: `return {"generator": g, "discriminator": d}`. A group's weights then follow
    their own loss alone, whose gradients alone count for its `global_clipnorm`; the loss of rows is
    the sum, and each is `loss_NAME`. Where examples have weights, the batch is
    `(inputs, labels, weights)`. It is TensorFlow (or `keras.ops`) code, traced once. Updates, live
    values, clipping, groups, averages and micro-batches (with parts of a batch) are those of any
    loss. Losses that layers add, such as regularizers, count only if the function adds them:
    `tf.add_n(model.losses)`.

    Evaluations call the same function on the test examples, with `training=False` if it takes
    that, and change nothing of the network; or they have another loss, `evaluated`. It is called
    with batches of one size alone, that of an update's micro-batch: the last of the test examples
    are filled up with some of them over again. Of a loss for each example those don't count, so
    that `eval_loss` is the exact mean; a number for a batch counts as often as the batch has
    examples of its own.
    """

    kind: Literal["step"] = "step"

    def for_data(self, facts: Facts) -> Loss:
        _ = self.function  # imports it
        return super().for_data(facts)

    @property
    def function_and_settings(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        return self.function, dict(self.kwargs)

    @property
    def function_field(self) -> tuple[str, str]:
        return "call", self.call


class GivenStep(_StepLoss):
    """A step whose function a program gives: `train(experiment, loss=function)`.

    The config has the function's name, and a digest of its source, not of what it calls.
    """

    kind: Literal["given"] = "given"
    name: str | None = None
    """The function, as `module:name`."""
    digest: str | None = None
    """A fingerprint of its source, and of the arguments that a `functools.partial` binds."""
    _function: Any = PrivateAttr(default=None)

    @classmethod
    def from_function(cls, function: object, declared: Loss) -> Self:
        """The declaration of a function.

        Raises:
            Refused: when `function` can't be called.
        """
        if not callable(function):
            rule = f"is a {type(function).__name__}, and must be a function"
            raise refuse("loss", ABSENT, rule, "loss(model, batch) -> a number, or one an example")
        evaluated = declared.evaluated if isinstance(declared, GivenStep) else declared
        if evaluated == Auto():
            evaluated = None  # nobody asked for another loss
        inner: Any = function
        settings = ""
        while isinstance(inner, partial):
            settings += f"{inner.args!r}{sorted(inner.keywords.items())!r}"
            inner = inner.func
        if not hasattr(inner, "__qualname__"):
            inner = type(inner)  # an object that can be called
        digest = sha256(f"{_source(inner)}{settings}".encode()).hexdigest()
        name = f"{inner.__module__}:{inner.__qualname__}"
        values = declared.values if isinstance(declared, _StepLoss) else {}
        given = cls.declared(
            {"name": name, "digest": digest, "evaluated": evaluated, "values": values}
        )
        given._function = function
        return given

    @property
    def function_and_settings(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        return self._function, {}

    def check(self) -> None:
        """Checks whether the function is here.

        Raises:
            Refused: when a config file declares it, and no program has given it to this process.
        """
        if self._function is None:
            rule = "was an object of a program, and no file has it"
            raise refuse("loss.kind", self.kind, rule, "train(experiment, loss=…) gives it again")

    @property
    def function_field(self) -> tuple[str, str]:
        return "name", str(self.name)


def _source(function: Callable[..., Any]) -> str:
    """The source of a function, or else its byte code and constants."""
    function = inspect.unwrap(function)
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        if code is None:
            return str(function)
        # Without constants that are code: their text has addresses.
        constants = [x for x in code.co_consts if not isinstance(x, CodeType)]
        return f"{code.co_code!r}{code.co_names}{constants}"
