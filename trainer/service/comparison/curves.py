"""One series of many runs, in few enough points for all of them to be drawn over each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rows.buckets import Steps, Values
from ..rows.table import Table


@dataclass(frozen=True)
class Line:
    """A value at each of some steps; for the mean of several runs, the range of all as well."""

    steps: Steps
    values: Values
    rows: int
    """How many rows it stands for."""
    lowest: Values | None = None
    highest: Values | None = None

    def member(self) -> dict[str, Any]:
        """As JSON, in six digits, which is more than a screen has."""
        found = {"rows": self.rows, "steps": self.steps.tolist(), "values": _digits(self.values)}
        if self.lowest is not None and self.highest is not None:
            found |= {"low": _digits(self.lowest), "high": _digits(self.highest)}
        return found


def line_of(
    tables: Iterable[Table],
    name: str,
    points: int,
    begin: int | None,
    end: int | None,
    smooth: float | None,
) -> Line | None:
    """The means of a series' buckets, or its running mean at their last rows; None without rows."""
    for table in tables:
        if name in table.names:
            buckets = table.buckets(name, points, begin, end)
            there = ~np.isnan(buckets.last) | (buckets.not_finite > 0)
            if smooth is None:
                steps, values = buckets.first, buckets.mean
            else:
                steps, values = buckets.until, table.smoothed(name, buckets, smooth)
            return Line(steps[there], values[there], buckets.rows) if there.any() else None
    return None


def mean_line(lines: Sequence[Line]) -> Line:
    """The mean over runs at the steps of the longest, between whose points the others are straight.

    A run counts as far as it goes; the lowest and the highest of them are those at the same step.
    """
    steps = max((line.steps for line in lines), key=lambda steps: (steps[-1], len(steps)))
    at_steps = np.array([_between(steps, line) for line in lines])
    there = np.isfinite(at_steps)
    count = there.sum(axis=0)
    total = np.where(there, at_steps, 0.0).sum(axis=0)
    known = count > 0
    return Line(
        steps[known],
        total[known] / count[known],
        sum(line.rows for line in lines),
        np.where(there, at_steps, np.inf).min(axis=0)[known],
        np.where(there, at_steps, -np.inf).max(axis=0)[known],
    )


def lines_of_settings(
    lines: Mapping[str, Line], settings: Sequence[Sequence[str]]
) -> list[dict[str, Any]]:
    """A line for each setting, by the ids of its runs, as JSON has it."""
    found = []
    for runs in settings:
        own = [lines[run] for run in runs if run in lines]
        if own:
            line = own[0] if len(own) == 1 else mean_line(own)
            found.append({"runs": [run for run in runs if run in lines], **line.member()})
    return found


def _between(steps: Steps, line: Line) -> Values:
    finite = np.isfinite(line.values)
    if not finite.any():
        return np.full(len(steps), np.nan)
    own, values = line.steps[finite], line.values[finite]
    order = np.argsort(own, kind="stable")
    return np.interp(steps, own[order], values[order], left=np.nan, right=np.nan)


def _digits(values: NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]
