"""Curves drawn with characters: a plot in braille dots, and a sparkline of one row."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..analysis.preview import Panel, length_lines
from ..curve import Curve
from ..declaration.number_text import count_text, value_text
from ..moments import Values
from .axes import Scale, drawable, ticks

BLOCKS = "▁▂▃▄▅▆▇█"
LINE_COLOURS = (39, 208, 36, 176, 178, 246)
"""The colours of lines: of a terminal's 256, those nearest to the pictures' colours."""
# The bits of a braille cell by row and column: Unicode numbers the fourth row last.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def spark(curve: Curve, steps: range, columns: int = 40) -> str:
    """One row of blocks for the curve over `steps`, from its value at the first to the last."""
    indices = np.linspace(0, len(steps) - 1, min(columns, len(steps))).round().astype(np.int64)
    return sparkline(curve(steps.start + steps.step * indices))


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
        return "".join(BLOCKS[3] if is_shown else "?" for is_shown in shown)
    levels = (np.where(shown, values, low) - low) / (high - low) * (len(BLOCKS) - 1)
    return "".join(
        BLOCKS[round(level)] if is_shown else "?"
        for level, is_shown in zip(levels, shown, strict=True)
    )


def plot(panel: Panel, columns: int = 80, rows: int = 12, *, colour: bool = False) -> str:
    """A panel as text: its curves in braille, its axes, and a summary of each line."""
    y = Scale.around(panel.values, 4 * rows - 1, 0)
    tick_labels = {
        round(y(value)) // 4: value_text(value) for value in ticks(y.low, y.high, rows // 3)
    }
    margin = max(map(len, tick_labels.values()), default=1)
    x = Scale(0.0, float(panel.steps), 0, 2 * (columns - margin - 3) - 1)
    canvas = _canvas(panel, x, y, rows, columns - margin - 3, colour)
    plot_rows = (
        f"{tick_labels.get(i, ''):>{margin}} {'┤' if i in tick_labels else '│'}{row}".rstrip()
        for i, row in enumerate(canvas)
    )
    unit = "step" if panel.steps == 1 else "steps"
    return "\n".join(
        [
            f"{panel.name} over {count_text(panel.steps)} {unit}",
            *plot_rows,
            *_step_axis(panel, x, margin),
            *(row for i in range(len(panel.lines)) for row in _line_summary(panel, i, colour)),
        ]
    )


def _canvas(
    panel: Panel, x: Scale, y: Scale, rows: int, columns: int, colour: bool
) -> Iterator[str]:
    """The rows of the plot, each a string of braille characters."""
    cells = np.zeros((rows, columns), int)
    cell_colours = np.zeros((rows, columns), int)
    for i, line in enumerate(panel.lines):
        shown = drawable(line.values)
        dot_x, dot_y = _line_dots(x(line.steps[shown].astype(np.float64)), y(line.values[shown]))
        np.bitwise_or.at(cells, (dot_y // 4, dot_x // 2), _DOTS[dot_y % 4, dot_x % 2])
        cell_colours[dot_y // 4, dot_x // 2] = LINE_COLOURS[i % len(LINE_COLOURS)]
    for row_cells, row_colours in zip(cells, cell_colours, strict=True):
        row = "".join(chr(0x2800 + bits) if bits else " " for bits in row_cells)
        if colour:
            edges = [0, *(np.flatnonzero(np.diff(row_colours)) + 1), columns]
            row = "".join(_coloured(row[a:b], int(row_colours[a])) for a, b in pairwise(edges))
        yield row


def _line_dots(xs: Values, ys: Values) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The columns and the rows of the dots on the line through the points."""
    dot_x, dot_y = [xs[:1]], [ys[:1]]
    for x0, x1, y0, y1 in zip(xs, xs[1:], ys, ys[1:], strict=False):
        count = int(max(abs(x1 - x0), abs(y1 - y0))) + 2
        dot_x.append(np.linspace(x0, x1, count))
        dot_y.append(np.linspace(y0, y1, count))
    columns, rows = np.concatenate(dot_x).round(), np.concatenate(dot_y).round()
    return columns.astype(np.int64), rows.astype(np.int64)


def _step_axis(panel: Panel, x: Scale, margin: int) -> Iterator[str]:
    axis = ["─"] * (int(x.stop) // 2 + 1)
    labels = [" "] * len(axis)
    next_free = 0
    for step in ticks(0, panel.steps, max(2, len(axis) // 16), whole=True):
        column, label = round(x(step)) // 2, count_text(step)
        axis[column] = "┬"
        start = min(max(0, column - len(label) // 2), len(axis) - len(label))
        if start >= next_free:
            labels[start : start + len(label)] = label
            next_free = start + len(label) + 2
    yield f"{'':>{margin}} └{''.join(axis)}"
    yield f"{'':>{margin}}  {''.join(labels).rstrip()}"


def _line_summary(panel: Panel, i: int, colour: bool) -> Iterator[str]:
    line = panel.lines[i]
    curve = spark(line.curve, range(panel.steps))
    if colour:
        curve = _coloured(curve, LINE_COLOURS[i % len(LINE_COLOURS)])
    first, last = value_text(line.values[0]), value_text(line.values[-1])
    low, high = value_text(np.nanmin(line.values)), value_text(np.nanmax(line.values))
    yield f"{curve}  {line.label}"
    yield f"  first {first} · lowest {low} · highest {high} · last {last}"
    yield from (f"  {length}" for length in length_lines(line.curve))


def _coloured(text: str, colour: int) -> str:
    return f"\x1b[38;5;{colour}m{text}\x1b[0m" if colour else text


def shows_colours() -> bool:
    """Whether stdout is a terminal with colours, and the user has not switched them off."""
    switched_off = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not switched_off


def has_display() -> bool:
    """Whether a browser could show a page."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
