"""A training step of the user's own: a function from a network and a batch to a loss."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from schedules.declaration import ABSENT, refuse
from schedules.declaration.functions import CODE_ERRORS, CallsFunction

from ..data import Facts
from .auto import Auto
from .loss import Labels, Loss

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..scheduled.dials import Dials


class _StepLoss(Loss):
    """A loss that trains with a user's function, and evaluates with another loss."""

    activation: ClassVar[str | None] = Auto.activation

    evaluated: Loss = Field(default_factory=Auto)
    """The loss of evaluations, by which runs that learn differently can be compared."""

    @abstractmethod
    def call_function(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> Any:
        """Returns what the user's function returns."""

    @property
    @abstractmethod
    def function_field(self) -> tuple[str, str]:
        """The name and the value of the field that names the function."""

    def for_data(self, facts: Facts) -> Loss:
        return self.model_copy(update={"evaluated": self.evaluated.for_data(facts)})

    def for_labels(self, labels: Labels, facts: Facts) -> Loss:
        evaluated = self.evaluated.for_data(facts).for_labels(labels, facts)
        return self.model_copy(update={"evaluated": evaluated})

    def step(
        self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor], dials: Dials
    ) -> tf.Tensor:
        import tensorflow as tf

        return tf.cast(self.call_function(model, batch), tf.float32)

    def check_step(self, model: keras.Model, facts: Facts, dials: Dials) -> None:
        import tensorflow as tf

        labels = ((2,), tf.int32) if facts.classes else ((2, facts.targets), tf.float32)
        batch = (tf.TensorSpec((2, *facts.shape), tf.float32), tf.TensorSpec(*labels))
        weights = [weight.value for weight in model.trainable_variables]

        def differentiated(*batch: tf.Tensor) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape, dials.showing(tf.ones([len(dials.names)])):
                tape.watch(weights)
                loss = tf.convert_to_tensor(self.call_function(model, batch))
            gradients = tape.gradient(loss, weights) if loss.dtype.is_floating else []
            return loss, [gradient for gradient in gradients if gradient is not None]

        field, name = self.function_field
        try:
            # Only traced, never run: the model's variables stay as they are.
            traced = tf.function(differentiated, autograph=False)
            loss, gradients = traced.get_concrete_function(*batch).structured_outputs
        except CODE_ERRORS as error:  # whatever the user's function raises
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            rule = f"raised {type(error).__name__}: {lines[-1] if lines else ''}"
            hint = f"it was given inputs of shape {list(batch[0].shape)}"
            raise refuse(f"loss.{field}", name, rule, hint) from error
        if not loss.dtype.is_floating or loss.shape.rank not in (0, 1):
            rule = f"returned {loss.dtype.name} of shape {loss.shape} for a batch of 2"
            hint = "return one float for the batch, or one for each example"
            raise refuse(f"loss.{field}", name, rule, hint)
        if not gradients:
            rule = "returned what hangs on none of the model's weights"
            hint = "call the model that it is given, with training=True"
            raise refuse(f"loss.{field}", name, rule, hint)

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        raise TypeError("a step makes outputs of its own")

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return self.evaluated.evaluation(outputs, labels)

    def predictions(self, outputs: tf.Tensor) -> tf.Tensor:
        return self.evaluated.predictions(outputs)


class Step(CallsFunction, _StepLoss):
    """What the function `call` returns for the model, a batch and `kwargs`.

    `call(model, (inputs, labels))` runs the network as often as it likes, with
    `model(inputs, training=True)`, and returns one loss for the batch or one for each example, of
    which the mean is taken. It is TensorFlow (or `keras.ops`) code, traced once. Updates, live
    values, clipping, groups, averages and micro-batches (with parts of a batch) are those of any
    loss. Losses that layers add, such as regularizers, count only if the function adds them:
    `tf.add_n(model.losses)`. Evaluations have another loss, `evaluated`.
    """

    kind: Literal["step"] = "step"

    def for_data(self, facts: Facts) -> Loss:
        _ = self.function  # imports it
        return super().for_data(facts)

    def call_function(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> Any:
        return self.function(model, batch, **self.kwargs)

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
    def from_function(cls, function: object, evaluated: Loss) -> Self:
        """The declaration of a function.

        Raises:
            Refused: when `function` can't be called.
        """
        if not callable(function):
            rule = f"is a {type(function).__name__}, and must be a function"
            raise refuse("loss", ABSENT, rule, "loss(model, batch) -> a number, or one an example")
        if isinstance(evaluated, GivenStep):
            evaluated = evaluated.evaluated
        inner: Any = function
        settings = ""
        while isinstance(inner, partial):
            settings += f"{inner.args!r}{sorted(inner.keywords.items())!r}"
            inner = inner.func
        if not hasattr(inner, "__qualname__"):
            inner = type(inner)  # an object that can be called
        digest = sha256(f"{_source(inner)}{settings}".encode()).hexdigest()
        name = f"{inner.__module__}:{inner.__qualname__}"
        declared = cls.declared({"name": name, "digest": digest, "evaluated": evaluated})
        declared._function = function
        return declared

    def call_function(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> Any:
        return self._function(model, batch)

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
