"""Charts of a report: a line for each setting, and a band from its lowest seed to its highest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration.wording import count_text, value_text
from schedules.plots.axes import Scale, ticks
from schedules.plots.style import COLOURS, DASHES

from .results import Points, Setting

WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, FLOOR = 58.0, 508.0, 34.0, 218.0
BINS = 80
"""How many means a noisy curve is drawn as."""
LOGARITHMIC = 30
"""From this ratio of the largest value to the smallest on, an axis is logarithmic."""

Values = NDArray[np.float64]


class Curve(NamedTuple):
    """What one setting's runs give: their mean, the lowest and the highest, by step."""

    setting: int
    label: str
    steps: Values
    mean: Values
    low: Values
    high: Values


class Axis(NamedTuple):
    """Where values are placed: linearly, or by their logarithms where they span a lot."""

    scale: Scale
    logarithmic: bool

    @classmethod
    def around(cls, values: Values, start: float, stop: float) -> Axis:
        """An axis on which all of `values` lie between two places."""
        if not (values.min() > 0 and values.max() > LOGARITHMIC * values.min()):
            return cls(Scale.around(values, start, stop), False)
        powers = np.log10(values)
        margin = (powers.max() - powers.min()) / 16
        return cls(Scale(powers.min() - margin, powers.max() + margin, start, stop), True)

    def __call__(self, values: Values) -> Values:
        """The places of some values."""
        return self.scale(np.log10(values) if self.logarithmic else values)

    def marks(self) -> Iterator[tuple[float, str]]:
        """The places of some round values, and how these are written."""
        low, high = self.scale.low, self.scale.high
        if not self.logarithmic:
            yield from ((self.scale(value), value_text(value)) for value in ticks(low, high, 4))
            return
        powers = range(ceil(low), floor(high) + 1)
        thinned: list[float] = list(powers[:: len(powers) // 7 + 1])
        finer = (p + log10(m) for p in range(floor(low), ceil(high)) for m in (1, 2, 5))
        places = thinned if len(powers) > 1 else [p for p in finer if low <= p <= high]
        yield from ((self.scale(p), value_text(10.0**p)) for p in places)


def style(setting: int) -> tuple[int, str]:
    """The colour and the dashes of a setting's line."""
    return setting % len(COLOURS), DASHES[setting // len(COLOURS) % len(DASHES)]


def charts(settings: Sequence[Setting]) -> Iterator[str]:
    """One chart for the loss, for every evaluated metric and for every applied value."""
    for name in _names(settings, "evaluations"):
        yield chart(name, [c for c in _curves(settings, "evaluations", name) if c])
    for name in _names(settings, "updates"):
        curves = [c for c in _curves(settings, "updates", name, averaged=name == "loss") if c]
        told = "means of neighbouring updates" if name == "loss" else "as applied"
        yield chart(name, curves, told)


def chart(name: str, curves: Sequence[Curve], told: str = "") -> str:
    """An SVG of some curves over the steps."""
    values = np.concatenate([part for curve in curves for part in (curve.low, curve.high)])
    last = max(float(curve.steps[-1]) for curve in curves) or 1.0
    x = Scale(0.0, last, LEFT, RIGHT)
    y = Axis.around(values, FLOOR, TOP)
    steps = ((x(step), count_text(step)) for step in ticks(0, last, 5, whole=True))
    body = list(frame(name, told, steps, y.marks()))
    for curve in curves:
        colour, dash = style(curve.setting)
        xs = x(curve.steps)
        mean, low, high = (y(part) for part in (curve.mean, curve.low, curve.high))
        spread = [*zip(xs, high, strict=True), *zip(xs[::-1], low[::-1], strict=True)]
        body.append(f'<g class="s{curve.setting}"><title>{escape(curve.label)}</title>')
        if np.any(high != low):
            body.append(f'<path class="spread fill{colour}" d="M{_path(spread)}Z"/>')
        if len(xs) == 1:
            body.append(f'<circle class="fill{colour}" cx="{xs[0]:.1f}" cy="{mean[0]:.1f}" r="3"/>')
        else:
            line = _path(list(zip(xs, mean, strict=True)))
            body.append(f'<path class="curve line{colour}" stroke-dasharray="{dash}" d="M{line}"/>')
        body.append("</g>")
    return drawn(name, f"{name} over the steps", body)


def frame(
    name: str,
    told: str,
    across: Iterable[tuple[float, str]],
    upwards: Iterable[tuple[float, str]],
) -> Iterator[str]:
    """What a chart has before anything is drawn into it: its name and its axes."""
    yield (
        f'<text class="ink name" x="{LEFT:.0f}" y="18">{escape(name)}'
        f'<tspan class="muted tick" dx="8">{escape(told)}</tspan></text>'
    )
    for place, label in upwards:
        yield f'<path class="grid" d="M{LEFT},{place:.1f}H{RIGHT}"/>'
        yield (
            f'<text class="muted tick" x="{LEFT - 8}" y="{place + 4:.1f}"'
            f' text-anchor="end">{label}</text>'
        )
    yield f'<path class="axis" d="M{LEFT},{FLOOR}H{RIGHT}"/>'
    for place, label in across:
        yield (
            f'<text class="muted tick" x="{place:.1f}" y="{FLOOR + 18}"'
            f' text-anchor="middle">{label}</text>'
        )


def drawn(name: str, about: str, body: Iterable[str]) -> str:
    """An SVG of what is in a chart."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" data-name="{escape(name)}"'
        f' aria-label="{escape(about)}">{"".join(body)}</svg>'
    )


def _names(settings: Sequence[Setting], kind: str) -> list[str]:
    return list(
        dict.fromkeys(
            name for setting in settings for run in setting.runs for name in getattr(run, kind)
        )
    )


def _curves(
    settings: Sequence[Setting], kind: str, name: str, averaged: bool = False
) -> Iterator[Curve | None]:
    for i, setting in enumerate(settings):
        series = [getattr(run, kind)[name] for run in setting.runs if name in getattr(run, kind)]
        yield _curve(i, setting.label, series, averaged)


def _curve(i: int, label: str, series: Sequence[Points], averaged: bool) -> Curve | None:
    """Mean, lowest and highest over the runs that reached each step, or each bin of steps."""
    width = max((int(steps[-1]) for steps, _ in series), default=0) // BINS + 1 if averaged else 1
    at: dict[int, list[float]] = {}
    for steps, values in series:
        bins = steps // width
        for place in np.unique(bins):
            value = (
                float(values[bins == place].mean()) if averaged else float(values[bins == place][0])
            )
            if np.isfinite(value):
                at.setdefault(int(place), []).append(value)
    if not at:
        return None
    places = sorted(at)
    found = [at[place] for place in places]
    mean, low, high = (np.array([of(values) for values in found]) for of in (np.mean, min, max))
    return Curve(i, label, np.array(places) * float(width), mean, low, high)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
