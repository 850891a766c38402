"""The numbers and flags of declarations: types that refuse what pydantic would convert."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Strict
from pydantic_core import PydanticCustomError

GREATEST = (2 - 2**-23) * 2.0**127
"""The greatest float32."""
LEAST = 2.0**-126
"""The least float32 above 0 with all its digits; processors are set to take lower ones for 0."""


def float32_fault(value: float) -> str:
    """Why a finite number is none that a device computes with, in float32; "" where it is one.

    >>> float32_fault(0.1), float32_fault(0.0)
    ('', '')
    >>> float32_fault(1e39)
    'is infinite in float32, whose greatest number is 3.4e+38'
    >>> float32_fault(-1e-50)
    'is 0 in float32, whose least number above 0 is 1.2e-38'
    """
    if abs(value) > GREATEST:
        return f"is infinite in float32, whose greatest number is {GREATEST:.1e}"
    if 0 < abs(value) < LEAST:
        return f"is 0 in float32, whose least number above 0 is {LEAST:.1e}"
    return ""


def _check_float32(value: float) -> float:
    if rule := float32_fault(value):
        raise PydanticCustomError("float32", "{rule}", {"rule": rule})
    return value


def _check_number(value: Any) -> Any:
    """Returns `value` where it is a finite number, and no boolean.

    YAML reads `no` as a boolean and `.nan` as a float; pydantic takes both for floats.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PydanticCustomError("number", "must be a number", {"hint": _number_hint(value)})
    if not math.isfinite(value):
        raise PydanticCustomError("finite", "must be finite", {"hint": "give an ordinary number"})
    return value


def _number_hint(value: object) -> str:
    """What to type instead of a value that is no number."""
    if isinstance(value, bool):
        return "YAML reads yes, no, on, off, true and false as booleans; write 1 or 0"
    if isinstance(value, str):
        with suppress(ValueError):
            return f"write it without quotes, as {float(value)}"
    return "give an ordinary number"


Number = Annotated[float, BeforeValidator(_check_number)]
"""A finite float; booleans, strings, NaN and infinities are refused."""

Float32 = Annotated[Number, AfterValidator(_check_float32)]
"""A number that the device computes with: one that stays what it is in float32, but for digits."""

Flag = Annotated[bool, Strict()]
"""True or false; the many words that pydantic would take for them are refused."""

Whole = Annotated[int, BeforeValidator(_check_number)]
"""An integer; a float with a fraction, a boolean or a string is refused."""
