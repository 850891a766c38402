"""Buckets and rows as the API gives them: columns of JSON numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .buckets import Buckets
from .table import Table


def series_member(buckets: Buckets) -> dict[str, Any]:
    """A series in buckets; of single values, `steps` and `last` say all there is.

    Buckets in which nothing was finite have null. `not_finite` lists them with how many there are.
    """
    there = ~np.isnan(buckets.last) | (buckets.not_finite > 0)
    if not there.all():
        buckets = buckets.where(there)
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
    return member


def series_of(
    tables: Mapping[str, Table],
    names: Iterable[str],
    points: int,
    begin: int | None = None,
    end: int | None = None,
) -> dict[str, Any]:
    """Series by name, each in at most about `points` buckets; of steps from `begin` to `end`."""
    found = {}
    for name in names:
        for table in tables.values():
            if name in table.names:
                found[name] = series_member(table.buckets(name, points, begin, end))
    return found


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    finite = np.isfinite(values)
    numbers: list[float | None] = values.tolist()
    if finite.all():
        return numbers
    return [number if known else None for number, known in zip(numbers, finite, strict=True)]
