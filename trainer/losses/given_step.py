"""A training step whose function a program gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from types import CodeType
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import PrivateAttr

from schedules.declaration import ABSENT, refuse

from ..data import Facts
from ..data.sources.in_memory import object_missing
from .auto import Auto
from .loss import Loss, StepNames
from .step_loss import StepLoss

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials
    from ..scheduled.draws import Draws


class GivenStep(StepLoss):
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
        values = declared.values if isinstance(declared, StepLoss) else {}
        given = cls.declared(
            {"name": name, "digest": digest, "evaluated": evaluated, "values": values}
        )
        given._function = function
        return given

    @property
    def function_and_settings(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        return self._function, {}

    @property
    def is_here(self) -> bool:
        """Whether a program has given the function to this process."""
        return self._function is not None

    def check(self) -> None:
        """Checks whether the function is here.

        Raises:
            Refused: when a config file declares it, and no program has given it to this process.
        """
        if not self.is_here:
            raise object_missing("loss", "loss.kind")

    def check_step(
        self, model: keras.Model, facts: Facts, dials: Dials, draws: Draws, batch_size: int
    ) -> StepNames:
        if not self.is_here:
            return StepNames()  # a network of which predictions alone are asked
        return super().check_step(model, facts, dials, draws, batch_size)

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
