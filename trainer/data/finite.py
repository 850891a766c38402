"""The refusal of values that are NaN or infinite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse


def check_finite(
    path: str,
    what: str,
    values: NDArray[Any],
    value: object = ABSENT,
    row_index: NDArray[np.integer[Any]] | None = None,
    each: str = "example",
) -> None:
    """Checks that all numbers in `values` `[n, ...]` are finite.

    `row_index` holds the numbers of the examples, where they are not 0 … n - 1; `each` is what
    they are called.

    Raises:
        Refused: at the override `path` with its `value`, naming the first example at fault.
    """
    if np.isfinite(values).all():
        return
    faulty = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    row = int(faulty.argmax())
    example = row if row_index is None else row_index[row]
    rule = f"has {what} that is not finite, in {each} {example}"
    raise refuse(path, value, rule, "clean the data; training would only spread it")
