"""Charts of a sweep's values: a point for each run, at its value and its last loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import isfinite
from typing import NamedTuple

import numpy as np

from .charts import FLOOR, LEFT, RIGHT, TOP, Axis, frame, svg
from .results import BROKEN, SEED, Run, column_name, varied_paths

MIN_VALUES = 5
"""A chart is drawn from this many different values on."""


class Point(NamedTuple):
    """One of a run's values, and what the run measured last."""

    value: float
    measured: float
    ended: bool
    label: str


def scatters(runs: Sequence[Run]) -> Iterator[str]:
    """A chart for every number that varies, of the last evaluated loss over it."""
    names = ("eval_loss", "loss")
    metric = next((name for name in names if any(name in run.measured for run in runs)), None)
    for path in varied_paths(runs) if metric else ():
        points = [point for run in runs if (point := _point(run, path, str(metric)))]
        if path != SEED and len({point.value for point in points}) >= MIN_VALUES:
            yield scatter(str(metric), column_name(path), points)


def scatter(metric: str, name: str, points: Sequence[Point]) -> str:
    """An SVG of what was measured over a value; runs that were stopped early are hollow."""
    values = np.array([point.value for point in points])
    measured = np.array([point.measured for point in points])
    x, y = Axis.around(values, LEFT, RIGHT), Axis.around(measured, FLOOR, TOP)
    body = list(frame(metric, f"over {name}", x.marks(), y.marks()))
    for point, cx, cy in zip(points, x(values), y(measured), strict=True):
        css_class = "fill0" if point.ended else "curve line0"
        body.append(
            f'<circle class="{css_class}" cx="{cx:.1f}" cy="{cy:.1f}" r="4">'
            f"<title>{escape(point.label)}</title></circle>"
        )
    return svg(f"{metric} over {name}", f"{metric} over {name}", body)


def _point(run: Run, path: str, metric: str) -> Point | None:
    value, measured = run.config.get(path), run.measured.get(metric)
    if run.status in BROKEN or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, int) and abs(value) > 2**63:  # more than a float may hold
        return None
    if measured is None or not isfinite(measured) or not isfinite(value):
        return None
    label = f"{run.path.name}: {column_name(path)} {value:g}, {metric} {measured:.4g}, {run.status}"
    return Point(float(value), measured, run.status == "done", label)
