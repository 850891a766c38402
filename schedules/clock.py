"""Durations, and the clock that turns them into exact numbers of steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .declaration import did_you_mean, refuse

_UNITS = {"step": "steps", "epoch": "epochs", "example": "examples", "%": "%"}
_PATTERN = re.compile(r"\s*([+-]?(?:\d+/\d+|\d*\.?\d+(?:[eE][+-]?\d{1,2})?))\s*([a-zA-Z%]*)\s*")


def exact(number: float | int | str | Fraction) -> Fraction:
    """The rational number as a person writes it: 1.1 is 11/10, not the nearest binary fraction.

    >>> exact(1.1), exact(2)
    (Fraction(11, 10), Fraction(2, 1))
    """
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


@dataclass(frozen=True)
class Duration:
    """A length of training in the unit it was written in: steps, epochs, examples or per cent.

    >>> Duration.parse("1.5 epochs")
    Duration(amount=Fraction(3, 2), unit='epochs')
    >>> str(Duration.parse(500)), str(Duration.parse("20%"))
    ('500 steps', '20%')
    """

    amount: Fraction
    unit: str = "steps"

    @classmethod
    def parse(cls, value: object) -> Duration:
        """Reads a number of steps or a text such as `"10 epochs"`; returns a duration unchanged.

        Raises:
            ValueError: when it is not a non-negative, finite number with a known unit.
        """
        if isinstance(value, Duration):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)):
            raise ValueError(_RULE)
        amount, unit = _split(value) if isinstance(value, str) else (value, "steps")
        try:
            amount = exact(amount)
        except (ValueError, ZeroDivisionError):  # NaN, infinities and 1/0 are no decimals
            raise ValueError(_RULE) from None
        if amount < 0:
            raise ValueError("must not be negative")
        if amount and not _SHORTEST <= amount <= _LONGEST:
            raise ValueError("must be between 1e-9 and 1e18")
        return cls(amount, unit)

    def __str__(self) -> str:
        amount: Fraction | float = self.amount
        if self.amount.denominator != 1 and exact(float(self.amount)) == self.amount:
            amount = float(self.amount)
        if self.unit == "%":
            return f"{amount}%"
        return f"{amount} {self.unit.removesuffix('s') if amount == 1 else self.unit}"

    def config_value(self) -> int | str:
        """The duration as a config file writes it."""
        if self.unit == "steps" and self.amount.denominator == 1:
            return int(self.amount)
        return str(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: object) -> Duration:
            try:
                return cls.parse(value)
            except ValueError as error:
                context = {"rule": str(error), "hint": _hint(value)}
                raise PydanticCustomError("duration", "{rule}", context) from None

        serialize = core_schema.plain_serializer_function_ser_schema(cls.config_value)
        return core_schema.no_info_plain_validator_function(validate, serialization=serialize)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9.eE+/]+\s*[a-z%]*\s*$"},
            ],
            "description": "steps, or a text such as '10 epochs', '60000 examples', '20%'",
        }


_RULE = (
    "must be a number of steps, or a text such as "
    "'500 steps', '10 epochs', '60000 examples' or '20%'"
)
_SHORTEST, _LONGEST = Fraction(1, 10**9), Fraction(10**18)


def _split(text: str) -> tuple[str, str]:
    """The amount and the unit in a text such as `"10 epochs"`."""
    match = _PATTERN.fullmatch(text)
    unit = _UNITS.get(match[2].lower().rstrip("s") or "step") if match else None
    if not match or not unit:
        raise ValueError(_RULE)
    return match[1], unit


def _hint(value: object) -> str:
    """What to type instead of a value that is no duration."""
    unit = "".join(re.findall(r"[a-zA-Z%]+", value)) if isinstance(value, str) else ""
    if not unit or unit.lower().rstrip("s") in _UNITS:
        return "such as '10 epochs'"
    return did_you_mean(unit, _UNITS.values())


@dataclass(frozen=True)
class Clock:
    """Converts the durations of a run, or of a part of it, to exact numbers of updates.

    `total_steps` is the span that per cent refer to, in updates. It may be a fraction, since a
    part of a sequence may end between two steps. `batch_size` and `examples_per_epoch` convert
    examples and epochs.

    >>> clock = Clock(total_steps=1000, batch_size=64, examples_per_epoch=55000)
    >>> clock.steps("1 epoch")
    Fraction(6875, 8)
    >>> clock.steps("20%")
    Fraction(200, 1)
    """

    total_steps: Fraction | int | None = None
    batch_size: int | None = None
    examples_per_epoch: int | None = None

    def __post_init__(self) -> None:
        for name in ("total_steps", "batch_size", "examples_per_epoch"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, Fraction)) or value <= 0:
                raise refuse(name, value, "must be a whole number above 0")

    def steps(self, duration: Duration | int | float | str) -> Fraction:
        """The duration in updates, exactly.

        Raises:
            Refused: when the clock lacks what the duration's unit needs.
        """
        duration = Duration.parse(duration)
        match duration.unit:
            case "steps":
                return duration.amount
            case "%":
                return duration.amount / 100 * self._required("total_steps", duration)
            case "examples":
                return duration.amount / self._required("batch_size", duration)
            case _:  # epochs
                examples = duration.amount * self._required("examples_per_epoch", duration)
                return examples / self._required("batch_size", duration)

    def spanning(self, steps: Fraction | None) -> Clock:
        """The clock of a part that lasts `steps`: the same units, per cent of that part."""
        return Clock(steps, self.batch_size, self.examples_per_epoch)

    def _required(self, name: str, duration: Duration) -> Fraction:
        value = getattr(self, name)
        if value is None:
            hint = "write the length in steps" if duration.unit != "steps" else ""
            raise refuse(
                "", str(duration), f"needs a clock with {name}, and this one has none", hint
            )
        return Fraction(value)
