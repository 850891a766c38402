"""Buckets and rows as the API gives them: columns of JSON numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .buckets import Buckets, Values
from .table import Table


def series_member(buckets: Buckets, smooth: Values | None = None) -> dict[str, Any]:
    """A series in buckets; of single values, `steps` and `last` say all there is.

    Buckets in which nothing was finite have null. `not_finite` lists them with how many there are.
    """
    there = ~np.isnan(buckets.last) | (buckets.not_finite > 0)
    if not there.all():
        buckets, smooth = buckets.where(there), None if smooth is None else smooth[there]
    bad = np.flatnonzero(buckets.not_finite)
    member = {
        "rows": buckets.rows,
        "width": buckets.width,
        "steps": buckets.first.tolist(),
        "last": _numbers(buckets.last),
        "not_finite": [[int(buckets.first[i]), int(buckets.not_finite[i])] for i in bad],
    }
    if buckets.width > 1:
        member |= {
            "until": buckets.until.tolist(),
            "min": _numbers(buckets.lowest),
            "max": _numbers(buckets.highest),
            "mean": _numbers(buckets.mean),
        }
    if smooth is not None:
        member["smooth"] = _numbers(smooth)
    return member


def series_of(
    tables: Mapping[str, Table],
    names: Iterable[str],
    points: int,
    begin: int | None = None,
    end: int | None = None,
    smooth: float | None = None,
) -> dict[str, Any]:
    """Series by name, each in at most about `points` buckets; of steps from `begin` to `end`.

    With a weight to `smooth` by, `smooth` is the running mean of all rows up to the last of each.
    """
    found = {}
    for name in names:
        for table in tables.values():
            if name in table.names:
                buckets = table.buckets(name, points, begin, end)
                mean = None if smooth is None else table.smoothed(name, buckets, smooth)
                found[name] = series_member(buckets, mean)
    return found


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    finite = np.isfinite(values)
    numbers: list[float | None] = values.tolist()
    if finite.all():
        return numbers
    return [number if known else None for number, known in zip(numbers, finite, strict=True)]
