"""Fields that take a number or a schedule of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from types import NoneType
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schedules import Schedule
from schedules.declaration import Declaration, Number, float32_fault
from schedules.declaration.scalars import GREATEST

GREATEST_ROOT = sqrt(GREATEST)

Value = float | Schedule
"""What a schedulable field holds."""


@dataclass(frozen=True)
class Bounds:
    """Marks a field that takes a number within bounds, or a schedule of such numbers.

    A number is checked when it is declared. The values of a schedule are known only on a clock;
    code that reads its curve checks them by `admit`.

    >>> Bounds(ge=0, lt=1).admit([0.0, 0.5, 1.0])
    array([ True,  True, False])
    >>> print(Bounds(ge=0, lt=1))
    at least 0 and below 1
    """

    gt: float = -inf
    ge: float = -inf
    lt: float = inf
    le: float = inf
    squared: bool = False
    """Whether its square is computed with, and so must be a float32 too."""

    def admit(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Whether each of some finite values lies within the bounds."""
        x = np.asarray(values)
        inside = (x > self.gt) & (x >= self.ge) & (x < self.lt) & (x <= self.le)
        return np.asarray(inside & (x <= GREATEST_ROOT) if self.squared else inside)

    def fault(self, number: float) -> str:
        """The rule that a finite number breaks, as declared or in float32; "" where it breaks none.

        >>> Bounds(lt=1).fault(1.0), Bounds(lt=1).fault(0.5)
        ('must be below 1', '')
        >>> Bounds(lt=1).fault(0.999999999)
        'must be below 1, and is 1 in float32'
        """
        if self.squared and number > GREATEST_ROOT:
            return f"must be at most {GREATEST_ROOT:.1e}, whose square is the greatest float32"
        if not self.admit(number):
            return f"must be {self}"
        if rule := float32_fault(number):
            return rule
        rounded = np.float32(number)
        return "" if self.admit(rounded) else f"must be {self}, and is {rounded:g} in float32"

    def apart(self) -> tuple[float, float]:
        """Two different values that are not close to each other or to a bound."""
        low, high = max(self.gt, self.ge), min(self.lt, self.le)
        if not isfinite(low):
            low = high - 1 if isfinite(high) else 0.0
        span = min(high - low, 1.0)
        return low + span / 4, low + span * 3 / 4

    def __str__(self) -> str:
        limits = {"above": self.gt, "at least": self.ge, "below": self.lt, "at most": self.le}
        return " and ".join(f"{word} {x:g}" for word, x in limits.items() if isfinite(x))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # Not a pydantic union: the error paths of a union hold tags, which override paths don't.
        def validate(value: object) -> Value:
            if isinstance(value, (Mapping, Schedule)):
                return _SCHEDULE.validate_python(value)
            number = _NUMBER.validate_python(value)
            if rule := self.fault(number):
                raise PydanticCustomError("bounds", "{rule}", {"rule": rule})
            return number

        schema = core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(_serialize)
        )
        return core_schema.nullable_schema(schema) if NoneType in get_args(source) else schema

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        keywords = {
            "exclusiveMinimum": self.gt,
            "minimum": self.ge,
            "exclusiveMaximum": self.lt,
            "maximum": self.le,
        }
        limits = {keyword: x for keyword, x in keywords.items() if isfinite(x)}
        schemas = [
            {"type": "number", **limits},
            Schedule.__get_pydantic_json_schema__(schema, handler),
        ]
        return {"anyOf": [*schemas, {"type": "null"}] if schema["type"] == "nullable" else schemas}


_NUMBER: TypeAdapter[float] = TypeAdapter(Number)
_SCHEDULE: TypeAdapter[Schedule] = TypeAdapter(Schedule)


def _serialize(value: Value) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Schedule) else value


def unscheduled(reason: str) -> BeforeValidator:
    """Marks a number that can't be scheduled, with the reason for its refusal."""

    def refuse_schedules(value: Any) -> Any:
        if isinstance(value, (Mapping, Schedule)):
            raise PydanticCustomError(
                "unscheduled", "cannot be scheduled: {reason}", {"reason": reason}
            )
        return value

    return BeforeValidator(refuse_schedules)


def bounds(declaration: type[Declaration], field: str) -> Bounds | None:
    """The bounds of a schedulable field; None for any other."""
    metadata = declaration.model_fields[field].metadata
    return next((entry for entry in metadata if isinstance(entry, Bounds)), None)


class Driven(NamedTuple):
    """A value that a schedule drives: its path in the config, its schedule and its bounds."""

    path: tuple[str, ...]
    schedule: Schedule
    bounds: Bounds


def driven(declaration: Declaration, *path: str) -> dict[str, Driven]:
    """The scheduled fields of the declaration at `path`, by name and in their order."""
    return {
        name: Driven((*path, name), schedule, bounds(type(declaration), name) or Bounds())
        for name, schedule in schedules_of(declaration).items()
    }


def schedules_of(declaration: Declaration) -> dict[str, Schedule]:
    """The schedules of the scheduled fields, by name and in their order."""
    values = ((name, getattr(declaration, name)) for name in type(declaration).model_fields)
    return {name: value for name, value in values if isinstance(value, Schedule)}
