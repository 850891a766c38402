"""Charts of what was searched: a point for each run, over the value that it was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import isfinite
from typing import NamedTuple

import numpy as np

from .charts import FLOOR, LEFT, RIGHT, TOP, Axis, drawn, frame
from .results import SEED, Run, short, varied

LEAST = 5
"""From so many different numbers on they are drawn, and not only listed."""


class Point(NamedTuple):
    """What one run measured last, at one of its values."""

    value: float
    measured: float
    ended: bool
    label: str


def scatters(runs: Sequence[Run]) -> Iterator[str]:
    """A chart for every number that varies, of the last evaluated loss over it."""
    names = ("eval_loss", "loss")
    metric = next((name for name in names if any(name in run.measured for run in runs)), None)
    for path in varied(runs) if metric else ():
        points = [point for run in runs if (point := _point(run, path, str(metric)))]
        if path != SEED and len({point.value for point in points}) >= LEAST:
            yield scatter(str(metric), short(path), points)


def scatter(metric: str, name: str, points: Sequence[Point]) -> str:
    """An SVG of what was measured over a value; runs that were stopped early are hollow."""
    values = np.array([point.value for point in points])
    measured = np.array([point.measured for point in points])
    x, y = Axis.around(values, LEFT, RIGHT), Axis.around(measured, FLOOR, TOP)
    body = list(frame(metric, f"over {name}", x.marks(), y.marks()))
    for point, across, up in zip(points, x(values), y(measured), strict=True):
        look = "fill0" if point.ended else "curve line0"
        body.append(
            f'<circle class="{look}" cx="{across:.1f}" cy="{up:.1f}" r="4">'
            f"<title>{escape(point.label)}</title></circle>"
        )
    return drawn(f"{metric} over {name}", f"{metric} over {name}", body)


def _point(run: Run, path: str, metric: str) -> Point | None:
    value, measured = run.config.get(path), run.measured.get(metric)
    if run.status == "failed" or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if measured is None or not isfinite(measured) or not isfinite(value):
        return None
    label = f"{run.path.name}: {short(path)} {value:g}, {metric} {measured:.4g}, {run.status}"
    return Point(float(value), measured, run.status == "done", label)
