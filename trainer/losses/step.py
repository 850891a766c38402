"""A training step of the user's own: the loss that comes of a network and a batch."""

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
from schedules.declaration.functions import Called

from ..data import Facts
from .auto import Auto
from .loss import Labels, Loss

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..scheduled.dials import Dials


class _OfBatch(Loss):
    """What steps share: what they return is checked, and evaluations are another loss's."""

    activation: ClassVar[str | None] = Auto.activation

    evaluated: Loss = Field(default_factory=Auto)
    """The loss that evaluations tell of, so that runs which learn differently can be compared."""

    @abstractmethod
    def loss_of(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> Any:
        """What the user's function gives."""

    @property
    @abstractmethod
    def named(self) -> tuple[str, str]:
        """The field that says which function it is, and its value."""

    def fitting(self, facts: Facts) -> Loss:
        return self.model_copy(update={"evaluated": self.evaluated.fitting(facts)})

    def seen(self, labels: Labels, facts: Facts) -> Loss:
        return self.model_copy(update={"evaluated": self.evaluated.seen(labels, facts)})

    def step(
        self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor], dials: Dials
    ) -> tf.Tensor:
        import tensorflow as tf

        return tf.cast(self.loss_of(model, batch), tf.float32)

    def try_step(self, model: keras.Model, facts: Facts, dials: Dials) -> None:
        import tensorflow as tf

        labels = ((2,), tf.int32) if facts.classes else ((2, facts.targets), tf.float32)
        batch = (tf.TensorSpec((2, *facts.shape), tf.float32), tf.TensorSpec(*labels))
        weights = [weight.value for weight in model.trainable_variables]

        def tried(*batch: tf.Tensor) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape, dials.showing(tf.ones([len(dials.names)])):
                tape.watch(weights)
                loss = tf.convert_to_tensor(self.loss_of(model, batch))
            depends = loss.dtype.is_floating and tape.gradient(loss, weights)
            return loss, [x for x in depends or () if x is not None]

        path, name = self.named
        try:
            # Traced and never run, so that nothing that the model keeps is touched.
            traced = tf.function(tried, autograph=False)
            loss, gradients = traced.get_concrete_function(*batch).structured_outputs
        except Exception as error:  # whatever the user's function raises
            told = [line.strip() for line in str(error).splitlines() if line.strip()]
            rule = f"raised {type(error).__name__}: {told[-1] if told else ''}"
            hint = f"it was given inputs of shape {list(batch[0].shape)}"
            raise refuse(f"loss.{path}", name, rule, hint) from error
        if not loss.dtype.is_floating or loss.shape.rank not in (0, 1):
            rule = f"returned {loss.dtype.name} of shape {loss.shape} for a batch of 2"
            hint = "return one float for the batch, or one for each example"
            raise refuse(f"loss.{path}", name, rule, hint)
        if not gradients:
            rule = "returned what hangs on none of the model's weights"
            hint = "call the model that it is given, with training=True"
            raise refuse(f"loss.{path}", name, rule, hint)

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        raise TypeError("a step makes outputs of its own")

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return self.evaluated.evaluation(outputs, labels)

    def predictions(self, outputs: tf.Tensor) -> tf.Tensor:
        return self.evaluated.predictions(outputs)


class Step(Called, _OfBatch):
    """What the function `call` gives for the model, a batch and `kwargs`: a number, or one each.

    `call(model, (inputs, labels))` runs the network as it likes, as often as it likes, with
    `model(inputs, training=True)`, and returns one loss for the batch or one for each example, of
    which the mean is taken. It is TensorFlow (or `keras.ops`) code, traced once; the updates, live
    values, clipping, groups, averages and micro-batches (then it is given a part of a batch) are
    what they are with any loss. Losses that layers add, such as regularizers, count if it adds
    them: `tf.add_n(model.losses)`. Evaluations tell of another loss, `evaluated`.
    """

    kind: Literal["step"] = "step"

    def fitting(self, facts: Facts) -> Loss:
        _ = self.function  # imports it
        return super().fitting(facts)

    def loss_of(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> Any:
        return self.function(model, batch, **self.kwargs)

    @property
    def named(self) -> tuple[str, str]:
        return "call", self.call


class GivenStep(_OfBatch):
    """The same with a function that a program gives: `train(experiment, loss=function)`.

    What the config has of it tells it from others: its name, and a digest of its source, not of
    what it calls.
    """

    kind: Literal["given"] = "given"
    name: str | None = None
    """What the function is called, and in which module."""
    digest: str | None = None
    """A fingerprint of its source, and of the arguments that a `functools.partial` binds."""
    _function: Any = PrivateAttr(default=None)

    @classmethod
    def of(cls, function: object, evaluated: Loss) -> Self:
        """The declaration that stands for a function.

        Raises:
            Refused: when it is none.
        """
        if not callable(function):
            rule = f"is a {type(function).__name__}, and must be a function"
            raise refuse("loss", ABSENT, rule, "loss(model, batch) -> a number, or one an example")
        if isinstance(evaluated, GivenStep):
            evaluated = evaluated.evaluated
        own: Any = function
        settings = ""
        while isinstance(own, partial):
            own, settings = own.func, f"{settings}{own.args!r}{sorted(own.keywords.items())!r}"
        if not hasattr(own, "__qualname__"):
            own = type(own)  # an object that can be called
        digest = sha256(f"{_source(own)}{settings}".encode()).hexdigest()
        name = f"{own.__module__}:{own.__qualname__}"
        declared = cls.declared({"name": name, "digest": digest, "evaluated": evaluated})
        declared._function = function
        return declared

    def loss_of(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> Any:
        return self._function(model, batch)

    def check(self) -> None:
        """Whether a program has given it.

        Raises:
            Refused: when it is only the declaration of a function that was given once.
        """
        if self._function is None:
            rule = "was an object of a program, and no file has it"
            raise refuse("loss.kind", self.kind, rule, "train(experiment, loss=…) gives it again")

    @property
    def named(self) -> tuple[str, str]:
        return "name", str(self.name)


def _source(function: Callable[..., Any]) -> str:
    """The source of a function, or where there is none what it was compiled to."""
    function = inspect.unwrap(function)
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        # Not the constants that are code, which are told by their addresses.
        plain = [x for x in code.co_consts if not isinstance(x, CodeType)] if code else []
        return f"{code.co_code!r}{code.co_names}{plain}" if code else str(function)
