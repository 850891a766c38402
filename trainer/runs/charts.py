"""Charts of a report: a line for each setting, and a band from its lowest run to its highest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration.number_text import count_text, value_text
from schedules.plots.axes import Scale, ticks
from schedules.plots.style import COLOURS, DASHES

from .metrics_file import Points
from .results import Setting

WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, FLOOR = 58.0, 508.0, 34.0, 218.0
BINS = 80
"""The number of means as which a noisy curve is drawn."""
LOGARITHMIC = 30
"""From this ratio of the largest value to the smallest on, an axis is logarithmic."""

Values = NDArray[np.float64]


class Curve(NamedTuple):
    """The mean, the lowest and the highest value over the runs of a setting, by step."""

    setting: int
    label: str
    steps: Values
    mean: Values
    low: Values
    high: Values


class Axis(NamedTuple):
    """Maps values to places: linearly, or by their logarithms where they span a lot."""

    scale: Scale
    logarithmic: bool

    @classmethod
    def around(cls, values: Values, start: float, stop: float) -> Axis:
        """An axis that maps all of `values` to places between `start` and `stop`."""
        if not (values.min() > 0 and values.max() > LOGARITHMIC * values.min()):
            return cls(Scale.around(values, start, stop), False)
        powers = np.log10(values)
        margin = (powers.max() - powers.min()) / 16
        return cls(Scale(powers.min() - margin, powers.max() + margin, start, stop), True)

    def __call__(self, values: Values) -> Values:
        """The places of some values."""
        return self.scale(np.log10(values) if self.logarithmic else values)

    def marks(self) -> Iterator[tuple[float, str]]:
        """The places and labels of some round values."""
        low, high = self.scale.low, self.scale.high
        if not self.logarithmic:
            yield from ((self.scale(value), value_text(value)) for value in ticks(low, high, 4))
            return
        powers = range(ceil(low), floor(high) + 1)
        thinned: list[float] = list(powers[:: len(powers) // 7 + 1])
        finer = (p + log10(m) for p in range(floor(low), ceil(high)) for m in (1, 2, 5))
        places = thinned if len(powers) > 1 else [p for p in finer if low <= p <= high]
        yield from ((self.scale(p), value_text(10.0**p)) for p in places)


class LineStyle(NamedTuple):
    """How a setting's line looks."""

    colour: int
    """The number of a colour in the style sheet."""
    dashes: str


def line_style(setting: int) -> LineStyle:
    """The style of a setting's line, by the number of the setting."""
    return LineStyle(setting % len(COLOURS), DASHES[setting // len(COLOURS) % len(DASHES)])


def swatch(setting: int) -> str:
    """An SVG of a short piece of a setting's line, for a legend."""
    style = line_style(setting)
    return (
        '<svg width="28" height="10" viewBox="0 0 28 10"><path class="curve '
        f'line{style.colour}" stroke-dasharray="{style.dashes}" d="M1,5H27"/></svg>'
    )


def charts(settings: Sequence[Setting]) -> Iterator[str]:
    """One chart for the loss, for every evaluated metric and for every applied value."""
    for name in _names(settings, "evaluations"):
        yield chart(name, _curves(settings, "evaluations", name))
    for name in _names(settings, "updates"):
        curves = _curves(settings, "updates", name, averaged=name == "loss")
        subtitle = "means of neighbouring updates" if name == "loss" else "as applied"
        yield chart(name, curves, subtitle)


def chart(name: str, curves: Sequence[Curve], subtitle: str = "") -> str:
    """An SVG of some curves over the steps."""
    values = np.concatenate([part for curve in curves for part in (curve.low, curve.high)])
    last = max(float(curve.steps[-1]) for curve in curves) or 1.0
    x = Scale(0.0, last, LEFT, RIGHT)
    y = Axis.around(values, FLOOR, TOP)
    steps = ((x(step), count_text(step)) for step in ticks(0, last, 5, whole=True))
    body = list(frame(name, subtitle, steps, y.marks()))
    for curve in curves:
        colour, dashes = line_style(curve.setting)
        xs = x(curve.steps)
        mean, low, high = (y(part) for part in (curve.mean, curve.low, curve.high))
        band = [*zip(xs, high, strict=True), *zip(xs[::-1], low[::-1], strict=True)]
        body.append(f'<g class="s{curve.setting}"><title>{escape(curve.label)}</title>')
        if np.any(high != low):
            body.append(f'<path class="spread fill{colour}" d="M{_path(band)}Z"/>')
        if len(xs) == 1:
            body.append(f'<circle class="fill{colour}" cx="{xs[0]:.1f}" cy="{mean[0]:.1f}" r="3"/>')
        else:
            line = _path(list(zip(xs, mean, strict=True)))
            body.append(
                f'<path class="curve line{colour}" stroke-dasharray="{dashes}" d="M{line}"/>'
            )
        body.append("</g>")
    return svg(name, f"{name} over the steps", body)


def frame(
    name: str,
    subtitle: str,
    x_marks: Iterable[tuple[float, str]],
    y_marks: Iterable[tuple[float, str]],
) -> Iterator[str]:
    """The SVG elements of a chart's name and axes."""
    yield (
        f'<text class="ink name" x="{LEFT:.0f}" y="18">{escape(name)}'
        f'<tspan class="muted tick" dx="8">{escape(subtitle)}</tspan></text>'
    )
    for place, label in y_marks:
        yield f'<path class="grid" d="M{LEFT},{place:.1f}H{RIGHT}"/>'
        yield (
            f'<text class="muted tick" x="{LEFT - 8}" y="{place + 4:.1f}"'
            f' text-anchor="end">{label}</text>'
        )
    yield f'<path class="axis" d="M{LEFT},{FLOOR}H{RIGHT}"/>'
    for place, label in x_marks:
        yield (
            f'<text class="muted tick" x="{place:.1f}" y="{FLOOR + 18}"'
            f' text-anchor="middle">{label}</text>'
        )


def svg(name: str, description: str, body: Iterable[str]) -> str:
    """The whole SVG of a chart from its elements."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" data-name="{escape(name)}"'
        f' aria-label="{escape(description)}">{"".join(body)}</svg>'
    )


def _names(settings: Sequence[Setting], kind: str) -> list[str]:
    return list(
        dict.fromkeys(
            name for setting in settings for run in setting.runs for name in getattr(run, kind)
        )
    )


def _curves(
    settings: Sequence[Setting], kind: str, name: str, averaged: bool = False
) -> list[Curve]:
    curves = []
    for i, setting in enumerate(settings):
        series = [getattr(run, kind)[name] for run in setting.runs if name in getattr(run, kind)]
        curves.append(_curve(i, setting.label, series, averaged))
    return [curve for curve in curves if curve]


def _curve(setting: int, label: str, series: Sequence[Points], averaged: bool) -> Curve | None:
    """The curve over the runs that reached each step, or each bin of steps; None without values."""
    if not series:
        return None
    width = max(int(steps[-1]) for steps, _ in series) // BINS + 1 if averaged else 1
    by_run = [_binned(steps // width, values, averaged) for steps, values in series]
    bins, values = (np.concatenate(parts) for parts in zip(*by_run, strict=True))
    finite = np.isfinite(values)
    if not finite.any():
        return None
    bins, values = bins[finite], values[finite]
    order = np.argsort(bins, kind="stable")
    bins, firsts, counts = np.unique(bins[order], return_index=True, return_counts=True)
    mean = np.add.reduceat(values[order], firsts) / counts
    low, high = (f.reduceat(values[order], firsts) for f in (np.minimum, np.maximum))
    return Curve(setting, label, bins * float(width), mean, low, high)


def _binned(
    bins: NDArray[np.int64], values: Values, averaged: bool
) -> tuple[NDArray[np.int64], Values]:
    """The bins of one run with the mean of the values in each, or with the first of them."""
    order = np.argsort(bins, kind="stable")
    bins, firsts, counts = np.unique(bins[order], return_index=True, return_counts=True)
    if not averaged:
        return bins, values[order][firsts]
    return bins, np.add.reduceat(values[order], firsts) / counts


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
