"""The numbers and flags of declarations: types that refuse what pydantic would convert."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BeforeValidator, Strict
from pydantic_core import PydanticCustomError


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

Flag = Annotated[bool, Strict()]
"""True or false; the many words that pydantic would take for them are refused."""

Whole = Annotated[int, BeforeValidator(_check_number)]
"""An integer; a float with a fraction, a boolean or a string is refused."""
