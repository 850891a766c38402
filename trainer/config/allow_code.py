"""Code that a config names, and whether it may be imported and run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from schedules import Problem


def _allowed(written: object) -> object:
    if isinstance(written, bool) or (
        isinstance(written, (list, tuple)) and all(isinstance(name, str) for name in written)
    ):
        return written
    hint = {"hint": "allow_code=true or allow_code=[my.module]"}
    raise PydanticCustomError("allowed", "must be true, false or a list of modules", hint)


Allowed = Annotated[bool | tuple[str, ...], BeforeValidator(_allowed)]
"""Whether all functions may, or none; or the modules whose may."""


def forbidden(
    code: Iterable[tuple[str, str]], allowed: bool | tuple[str, ...]
) -> Iterator[Problem]:
    """A problem for each function that is not allowed; `code` has the path and name of them all.

    >>> named = [("schedule.call", "mine.curves:steep"), ("model.call", "other:deep")]
    >>> [problem.path for problem in forbidden(named, ("mine",))]
    ['model.call']
    """
    for path, name in code:
        module = name.partition(":")[0]
        if isinstance(allowed, tuple):
            known = any(f"{module}.".startswith(f"{prefix}.") for prefix in allowed)
        else:
            known = allowed
        if not known:
            rule = "is code that the config names, and runs only with allow_code=true"
            hint = f"read it first; then add allow_code=true or allow_code=[{module}]"
            yield Problem(path, name, rule, hint)
