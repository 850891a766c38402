"""Functions that a config names, `package.module:function`, imported when they are needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from .declaration import Declaration
from .refusals import ABSENT, did_you_mean, refuse

MOVED = {
    "schedules.given:logistic": "trainer.examples:logistic",
    "trainer.data.functions:moons": "trainer.examples:moons",
    "trainer.losses.given:brier": "trainer.examples:brier",
    "trainer.losses.step:small_logits": "trainer.examples:small_logits",
    "trainer.models.given:perceptron": "trainer.examples:perceptron",
}
"""This project's own examples, by what configs of older runs call them."""
EXAMPLES = frozenset(MOVED.values())
"""Functions that need no permission to run."""


CODE_EXITS = (SystemExit, GeneratorExit)
"""What code of a user's may raise to end a process that it does not own, as `sys.exit()` does."""
CODE_ERRORS = (Exception, *CODE_EXITS)
"""Whatever code of a user's may raise, except for an interrupt, which a person asks for."""


def raised(error: BaseException) -> str:
    """What code did when it raised `error`.

    >>> raised(SystemExit(0)), raised(KeyError())
    ('raised SystemExit: 0', 'raised KeyError')
    """
    return f"raised {type(error).__name__}: {error}".removesuffix(": ")


@contextmanager
def refusing_exits() -> Iterator[None]:
    """Turns an exit that code of a user's asks for within the block into a refusal.

    Raises:
        Refused: for SystemExit, with which a run that made no update would seem to be done.
    """
    try:
        yield
    except CODE_EXITS as error:
        rule, hint = f"let in code that {raised(error)}", "let it return, or raise another error"
        raise refuse("allow_code", ABSENT, rule, hint) from error


def current_name(name: str) -> str:
    """What a function that a config names is called now.

    >>> current_name("trainer.data.functions:moons"), current_name("math:cos")
    ('trainer.examples:moons', 'math:cos')
    """
    return MOVED.get(name, name)


def _check_function_path(path: str) -> str:
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", path):
        hint = {"hint": "such as math:cos"}
        raise PydanticCustomError("call", "must read package.module:function", hint)
    return current_name(path)


class CallsFunction(Declaration):
    """The fields of every kind that calls a function of the user's, which the config names.

    The function is imported on first use, not when it is declared. Whoever owns the declaration
    can therefore ask for its `code` first, and refuse it.
    """

    call: Annotated[str, AfterValidator(_check_function_path)]
    """The function, as `package.module:function`."""
    kwargs: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies a default
    """What else the function is given, by name."""

    def code(self) -> Iterator[tuple[str, str]]:
        if self.call not in EXAMPLES:
            yield "call", self.call

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The function itself; its module is imported now.

        Raises:
            Refused: when there is none.
        """
        name, _, attribute = self.call.partition(":")
        try:
            module = import_module(name)
        except CODE_ERRORS as error:  # whatever the user's module raises while it is imported
            rule = f"can't be imported: {type(error).__name__}: {error}"
            hint = "is its folder on PYTHONPATH?" if isinstance(error, ImportError) else ""
            raise refuse("call", self.call, rule, hint) from None
        function = getattr(module, attribute, None)
        if not callable(function):
            choices = [name for name, member in vars(module).items() if callable(member)]
            rule = f"is no function of {name}"
            raise refuse("call", self.call, rule, did_you_mean(attribute, choices))
        return function  # type: ignore[no-any-return]  # callable() tells mypy too little
