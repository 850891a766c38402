"""What a config may have run: functions that it names, and who may allow them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from schedules import Problem

KEY = "allow_code"


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
        if not is_allowed(module, allowed):
            rule = "is code that the config names, and runs only with allow_code=true"
            hint = f"read it first; then type allow_code=true or allow_code=[{module}]"
            yield Problem(path, name, rule, hint)


def is_allowed(module: str, allowed: bool | tuple[str, ...]) -> bool:
    """Whether code of a module may run."""
    if isinstance(allowed, bool):
        return allowed
    return any(f"{module}.".startswith(f"{prefix}.") for prefix in allowed)


def typed_permission(overrides: Sequence[str]) -> bool | tuple[str, ...]:
    """What the overrides of a command line allow; what is no permission allows nothing.

    >>> typed_permission(["run.seed=3", "allow_code=[mine]"]), typed_permission(["run.seed=3"])
    (('mine',), False)
    """
    typed = [override for override in overrides if is_typed_permission(override)]
    if not typed:
        return False
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = OverridesParser.create().parse_override(typed[-1])
    value = None if override.is_sweep_override() else override.value()
    if isinstance(value, list):
        return tuple(name for name in value if isinstance(name, str))
    return value is True


def is_typed_permission(override: str) -> bool:
    """Whether an override says what is allowed.

    >>> is_typed_permission("++allow_code=true"), is_typed_permission("run.seed=3")
    (True, False)
    """
    return override.partition("=")[0].lstrip("+~").strip() == KEY


def without_granted_permission(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The values of a config without a permission that a file gives: only a person may.

    >>> without_granted_permission({"allow_code": True}, ["run.seed=3"])
    {'allow_code': False}
    """
    if any(map(is_typed_permission, overrides)):
        return values
    return {**values, KEY: False} if KEY in values else values
