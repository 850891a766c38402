"""Curves drawn with characters: a plot in braille dots, and a sparkline of one row."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..analysis.preview import Panel, told_lengths
from ..curve import Curve
from ..declaration.wording import counted, written
from ..moments import Values
from .axes import Scale, drawable, ticks

BLOCKS = "▁▂▃▄▅▆▇█"
INKS = (39, 208, 36, 176, 178, 246)
"""The pictures' colours, as the nearest of a terminal's 256."""
# Unicode numbers a braille cell's dots down its left column, then its right, the fourth row last.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def spark(curve: Curve, steps: range, columns: int = 40) -> str:
    """One row of blocks for the curve over `steps`, from its value at the first to the last."""
    places = np.linspace(0, len(steps) - 1, min(columns, len(steps))).round().astype(np.int64)
    return sparkline(curve(steps.start + steps.step * places))


def sparkline(values: Values | Sequence[float]) -> str:
    """One row of blocks from the lowest of `values` to the highest; `?` where one can't be drawn.

    >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7])
    '▁▂▃▄▅▆▇█'
    >>> sparkline([3, 3, 3])
    '▄▄▄'
    """
    values = np.asarray(values, np.float64)
    shown = drawable(values)
    low, high = (values[shown].min(), values[shown].max()) if shown.any() else (0.0, 0.0)
    if low == high:
        return "".join(BLOCKS[3] if drawn else "?" for drawn in shown)
    levels = (np.where(shown, values, low) - low) / (high - low) * (len(BLOCKS) - 1)
    return "".join(
        BLOCKS[round(level)] if drawn else "?" for level, drawn in zip(levels, shown, strict=True)
    )


def plot(panel: Panel, columns: int = 80, rows: int = 12, *, colour: bool = False) -> str:
    """A panel as text: its curves in braille, its axes, and a row on each line."""
    y = Scale.around(panel.values, 4 * rows - 1, 0)
    marks = {round(y(value)) // 4: written(value) for value in ticks(y.low, y.high, rows // 3)}
    margin = max(map(len, marks.values()), default=1)
    x = Scale(0.0, float(panel.steps), 0, 2 * (columns - margin - 3) - 1)
    canvas = _canvas(panel, x, y, rows, columns - margin - 3, colour)
    drawn = (
        f"{marks.get(row, ''):>{margin}} {'┤' if row in marks else '│'}{line}"
        for row, line in enumerate(canvas)
    )
    return "\n".join(
        [
            f"{panel.name} over {counted(panel.steps)} step{'s' * (panel.steps > 1)}",
            *(line.rstrip() for line in drawn),
            *_steps(panel, x, margin),
            *(row for i in range(len(panel.lines)) for row in _told(panel, i, colour)),
        ]
    )


def _canvas(
    panel: Panel, x: Scale, y: Scale, rows: int, columns: int, colour: bool
) -> Iterator[str]:
    cells = np.zeros((rows, columns), int)
    inks = np.zeros((rows, columns), int)
    for i, line in enumerate(panel.lines):
        shown = drawable(line.values)
        across, down = _traced(x(line.steps[shown].astype(np.float64)), y(line.values[shown]))
        np.bitwise_or.at(cells, (down // 4, across // 2), _DOTS[down % 4, across % 2])
        inks[down // 4, across // 2] = INKS[i % len(INKS)]
    for dots, shades in zip(cells, inks, strict=True):
        row = "".join(chr(0x2800 + bits) if bits else " " for bits in dots)
        if colour:
            edges = [0, *(np.flatnonzero(np.diff(shades)) + 1), columns]
            row = "".join(_inked(row[a:b], int(shades[a])) for a, b in pairwise(edges))
        yield row


def _traced(xs: Values, ys: Values) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The dots of the line through the points."""
    across, down = [xs[:1]], [ys[:1]]
    for x0, x1, y0, y1 in zip(xs, xs[1:], ys, ys[1:], strict=False):
        dots = int(max(abs(x1 - x0), abs(y1 - y0))) + 2
        across.append(np.linspace(x0, x1, dots))
        down.append(np.linspace(y0, y1, dots))
    columns, rows = (np.concatenate(places).round() for places in (across, down))
    return columns.astype(np.int64), rows.astype(np.int64)


def _steps(panel: Panel, x: Scale, margin: int) -> Iterator[str]:
    axis = ["─"] * (int(x.stop) // 2 + 1)
    labels = [" "] * len(axis)
    free = 0
    for step in ticks(0, panel.steps, max(2, len(axis) // 16), whole=True):
        place, label = round(x(step)) // 2, counted(step)
        axis[place] = "┬"
        start = min(max(0, place - len(label) // 2), len(axis) - len(label))
        if start >= free:
            labels[start : start + len(label)] = label
            free = start + len(label) + 2
    yield f"{'':>{margin}} └{''.join(axis)}"
    yield f"{'':>{margin}}  {''.join(labels).rstrip()}"


def _told(panel: Panel, i: int, colour: bool) -> Iterator[str]:
    line = panel.lines[i]
    curve = spark(line.curve, range(panel.steps))
    first, last = written(line.values[0]), written(line.values[-1])
    low, high = written(np.nanmin(line.values)), written(np.nanmax(line.values))
    yield f"{_inked(curve, INKS[i % len(INKS)]) if colour else curve}  {line.label}"
    yield f"  first {first} · lowest {low} · highest {high} · last {last}"
    yield from (f"  {length}" for length in told_lengths(line.curve))


def _inked(text: str, ink: int) -> str:
    return f"\x1b[38;5;{ink}m{text}\x1b[0m" if ink else text


def coloured() -> bool:
    """Whether stdout shows colours, and is wanted to."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def has_display() -> bool:
    """Whether a browser could show a page."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
