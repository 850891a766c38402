"""Functions that a config names, and whether they may be imported and run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from schedules import Problem


def _validate(value: object) -> object:
    if isinstance(value, bool) or (
        isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
    ):
        return value
    hint = {"hint": "allow_code=true or allow_code=[my.module]"}
    raise PydanticCustomError("allowed", "must be true, false or a list of modules", hint)


Allowed = Annotated[bool | tuple[str, ...], BeforeValidator(_validate)]
"""Whether all functions are allowed, or none; or the modules whose functions are."""


def forbidden_code(
    code: Iterable[tuple[str, str]], allowed: bool | tuple[str, ...]
) -> Iterator[Problem]:
    """Problems for the functions that are not allowed; `code` has each one's path and name.

    >>> named = [("schedule.call", "mine.curves:steep"), ("model.call", "other:deep")]
    >>> [problem.path for problem in forbidden_code(named, ("mine",))]
    ['model.call']
    """
    for path, name in code:
        module = name.partition(":")[0]
        if isinstance(allowed, tuple):
            is_allowed = any(f"{module}.".startswith(f"{prefix}.") for prefix in allowed)
        else:
            is_allowed = allowed
        if not is_allowed:
            rule = "is code that the config names, and runs only with allow_code=true"
            hint = f"read it first; then add allow_code=true or allow_code=[{module}]"
            yield Problem(path, name, rule, hint)
