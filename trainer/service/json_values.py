"""Values of configs as JSON has them, which knows no infinity, no NaN and no dates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def jsonable(value: Any) -> Any:
    """The value, with a text in the place of whatever JSON has not.

    >>> jsonable({"a": [1, float("inf")], 2: None})
    {'a': [1, 'inf'], '2': None}
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {str(key): jsonable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [jsonable(inner) for inner in value]
    return str(value)
