"""The picture of curves: one panel a scheduled value, steps below and epochs above, as SVG."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from fractions import Fraction
from html import escape
from itertools import pairwise, zip_longest

import numpy as np
from numpy.typing import NDArray

from ..analysis.preview import Line, Panel, Preview, length_lines, panels, steps_per_epoch
from ..clock import Clock
from ..curve import Curve
from ..declaration.number_text import count_text, value_text
from ..moments import Values
from .axes import Scale, drawable, ticks
from .style import COLOURS, DASHES, STYLE

WIDTH = 880
LEFT, RIGHT = 76.0, WIDTH - 36.0
"""The columns of pixels between which curves are drawn."""
SINGLE_HEIGHT, STACKED_HEIGHT = 300, 180
"""The height of a plot that stands alone, and of one among several."""
ROW = 18
"""The height of a row of text."""
PART_ROW = 14
"""The height of a row of parts' names."""
MAX_DOTS = 120
"""Runs of up to this many steps have a dot at each step."""


def svg(curves: Mapping[str, Curve], clock: Clock, title: str = "") -> str:
    """The picture of one run: every scheduled value in a panel of its own."""
    return draw_svg(panels({"": Preview(curves, clock)}), clock, title)


def draw_svg(figure: list[Panel], clock: Clock, title: str = "") -> str:
    """The picture of the panels of `figure`; epochs are those of `clock`."""
    body: list[str] = []
    top = 28.0
    for row in textwrap.wrap(title, 84):
        body.append(_text("ink title", 20, top, row))
        top += 22
    body.append(_text("muted", 20, top, _length_of_run(clock)))
    top += 18
    for panel in figure:
        height = SINGLE_HEIGHT if len(figure) == 1 else STACKED_HEIGHT
        plot = Plot(panel, top, height, steps_per_epoch(clock))
        body += plot.elements()
        top = plot.end + 14
    description = escape(f"{title or 'Schedules'}: {', '.join(panel.name for panel in figure)}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top:.0f}"'
            f' viewBox="0 0 {WIDTH} {top:.0f}" role="img" aria-label="{description}">',
            f"<title>{description}</title>",
            f"<style>\n{STYLE}</style>",
            '<rect class="ground" width="100%" height="100%"/>',
            *body,
            "</svg>\n",
        ]
    )


def _length_of_run(clock: Clock) -> str:
    steps = Fraction(clock.total_steps or 0)
    items = [f"{count_text(steps)} steps"]
    if per_epoch := steps_per_epoch(clock):
        items.append(f"{count_text(steps / per_epoch)} epochs")
    if clock.batch_size:
        items.append(f"batch size {count_text(clock.batch_size)}")
    return " · ".join(items)


class Plot:
    """One panel, laid out from the row of pixels `top` down to `end`."""

    def __init__(self, panel: Panel, top: float, height: float, per_epoch: Fraction | None) -> None:
        self.panel = panel
        self.name_row = top + 16
        self.ceiling = self.name_row + (30 if per_epoch else 14)
        self.floor = self.ceiling + height
        self.per_epoch = per_epoch
        self.x = Scale(0.0, float(panel.steps), LEFT, RIGHT)
        self.labels, rows = self._labels()
        self.y = Scale.around(panel.values, self.floor, self.ceiling + PART_ROW * rows)
        self.legends = [list(_legend(line)) for line in panel.lines]
        self.end = self.floor + 34 + ROW * sum(map(len, self.legends))

    def elements(self) -> Iterator[str]:
        yield f'<g class="panel" data-top="{self.ceiling:.1f}" data-bottom="{self.floor:.1f}">'
        yield _text("ink name", LEFT, self.name_row, self.panel.name)
        if len(self.panel.lines) == 1:
            yield from self._bands(self.panel.lines[0])
        yield from self._axes()
        for i, line in enumerate(self.panel.lines):
            yield from self._curve(i, line)
        yield from self.labels
        yield from self._legend_rows()
        yield "</g>"

    def _axes(self) -> Iterator[str]:
        for value in ticks(self.y.low, self.y.high, max(3, int(self.floor - self.ceiling) // 55)):
            y = self.y(value)
            yield f'<path class="grid" d="M{LEFT:.1f},{y:.1f}H{RIGHT:.1f}"/>'
            yield _text("muted tick", LEFT - 10, y + 4, value_text(value), "end")
        yield f'<path class="axis" d="M{LEFT:.1f},{self.floor:.1f}H{RIGHT:.1f}"/>'
        yield _text("muted tick", LEFT - 10, self.floor + 17, "steps", "end")
        for step in ticks(0, self.panel.steps, 9, whole=True):
            x = self.x(step)
            yield f'<path class="axis" d="M{x:.1f},{self.floor:.1f}v4"/>'
            yield _text("muted tick", x, self.floor + 17, count_text(step), "middle")
        if self.per_epoch:
            epochs = float(self.panel.steps / self.per_epoch)
            yield _text("muted tick", LEFT - 10, self.ceiling - 8, "epochs", "end")
            for epoch in ticks(0, epochs, 10):
                x = self.x(epoch * float(self.per_epoch))
                yield f'<path class="axis" d="M{x:.1f},{self.ceiling:.1f}v-4"/>'
                yield _text("muted tick", x, self.ceiling - 8, count_text(epoch), "middle")

    def _bands(self, line: Line) -> Iterator[str]:
        """A shaded ground under every other part."""
        starts = [self.x(moment) for _, moment in line.marks]
        for start, stop in list(pairwise([*starts, RIGHT]))[::2]:
            yield (
                f'<rect class="band" x="{start:.1f}" y="{self.ceiling:.1f}"'
                f' width="{stop - start:.1f}" height="{self.floor - self.ceiling:.1f}"/>'
            )

    def _curve(self, i: int, line: Line) -> Iterator[str]:
        shown = drawable(line.values)
        xs = self.x(line.steps.astype(np.float64))
        ys = self.y(np.where(shown, line.values, np.nan))
        colour, dash = i % len(COLOURS), DASHES[i // len(COLOURS) % len(DASHES)]
        for _, moment in line.marks:
            if moment > 0:
                x = self.x(moment)
                yield (
                    f'<path class="mark line{colour}" d="M{x:.1f},{self.ceiling:.1f}'
                    f'V{self.floor:.1f}"/>'
                )
        for piece in _runs(shown):
            points = _simplified(xs[piece], ys[piece])
            path = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
            if len(self.panel.lines) == 1 and self.y.low == 0:
                foot = f"{points[-1][0]:.1f},{self.floor:.1f}L{points[0][0]:.1f},{self.floor:.1f}"
                yield f'<path class="area fill{colour}" d="M{path}L{foot}Z"/>'
            yield f'<path class="curve line{colour}" stroke-dasharray="{dash}" d="M{path}"/>'
        if self.panel.steps <= MAX_DOTS:
            dots = zip(xs[shown], ys[shown], strict=True)
            yield f'<g class="fill{colour}">'
            yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in dots)
            yield "</g>"

    def _labels(self) -> tuple[list[str], int]:
        """The names of the parts that have room above the curves, and how many rows they take."""
        alone = len(self.panel.lines) == 1
        marks = {
            (moment, label, "muted" if alone else f"fill{i % len(COLOURS)}")
            for i, line in enumerate(self.panel.lines)
            for label, moment in line.marks
        }
        labels, row_ends = [], [LEFT, LEFT]
        for moment, label, shade in sorted(marks):
            x = self.x(moment) + 5
            row = next((row for row in (0, 1) if x >= row_ends[row]), None)
            if row is not None and x + _width(label) < RIGHT:
                row_ends[row] = x + _width(label) + 8
                y = self.ceiling + 13 + PART_ROW * row
                labels.append(_text(f"{shade} part", x, y, label))
        return labels, sum(end > LEFT for end in row_ends)

    def _legend_rows(self) -> Iterator[str]:
        y = self.floor + 42
        for i, rows in enumerate(self.legends):
            colour, dash = i % len(COLOURS), DASHES[i // len(COLOURS) % len(DASHES)]
            yield (
                f'<path class="curve line{colour}" stroke-dasharray="{dash}"'
                f' d="M{LEFT:.1f},{y - 4:.1f}h22"/>'
            )
            for row, (label, text) in enumerate(rows):
                gap = ' dx="10"' if label and text else ""
                yield (
                    f'<text x="{LEFT + 30:.1f}" y="{y + ROW * row:.1f}">'
                    f'<tspan class="ink">{escape(label)}</tspan>'
                    f'<tspan class="muted"{gap}>{escape(text)}</tspan></text>'
                )
            y += ROW * len(rows)


def _legend(line: Line) -> Iterator[tuple[str, str]]:
    """The rows of a line's legend: its label, then each of its lengths in steps."""
    items = [*length_lines(line.curve)]
    if line.curve.reacts:
        items.append("moves with what the run finds")
    unbreakable = [item.replace(" ", "\N{NO-BREAK SPACE}") for item in items]
    separator = "\N{NO-BREAK SPACE}· "
    rows = textwrap.wrap(
        separator.join(unbreakable),
        width=int((RIGHT - LEFT - 40) / 6.2),
        initial_indent="~" * len(line.label),  # room for the label, which is drawn apart
        break_long_words=False,
        break_on_hyphens=False,
    )
    for label, row in zip_longest([line.label], rows, fillvalue=""):
        yield label, row.lstrip("~")


def _text(style: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    attribute = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}"{attribute}>{escape(text)}</text>'


def _width(text: str) -> float:
    """About how wide a label is, in pixels."""
    return 6.4 * len(text)


def _runs(shown: NDArray[np.bool_]) -> Iterator[slice]:
    """The slices of neighbours that are all shown."""
    edges = np.flatnonzero(np.diff(shown, prepend=False, append=False))
    yield from (slice(start, stop) for start, stop in edges.reshape(-1, 2))


def _simplified(xs: Values, ys: Values, tolerance: float = 0.15) -> NDArray[np.float64]:
    """The points without those that lie on the line through the others, within so many pixels.

    Ramer's and Douglas & Peucker's algorithm, measured along the vertical.
    """
    kept = np.zeros(len(xs), bool)
    kept[[0, -1]] = True
    open_spans = [(0, len(xs) - 1)]
    while open_spans:
        a, b = open_spans.pop()
        if b - a < 2:
            continue
        inner = slice(a + 1, b)
        chord = ys[a] + (ys[b] - ys[a]) * (xs[inner] - xs[a]) / (xs[b] - xs[a])
        distances = np.abs(ys[inner] - chord)
        farthest = a + 1 + int(distances.argmax())
        if distances[farthest - a - 1] > tolerance:
            kept[farthest] = True
            open_spans += [(a, farthest), (farthest, b)]
    return np.stack([xs[kept], ys[kept]], axis=1)
