"""Tables of a report in HTML, whose cells hold the keys by which the page sorts them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .results import format_value


class Cell(NamedTuple):
    """A table cell."""

    html: str
    sort_key: Any
    """The value by which the page's script sorts; cells with "" come last."""


MISSING = Cell("–", "")


def value_cell(value: Any) -> Cell:
    """The cell of a value from a config or a result; None is shown as missing."""
    return MISSING if value is None else Cell(escape(format_value(value)), value)


def measured_cell(value: float | None) -> Cell:
    """The cell of what one run has measured."""
    return MISSING if value is None else Cell(f"{value:.4g}", value)


def mean_cell(values: NDArray[np.float64]) -> Cell:
    """The cell of a mean over runs, ± the standard deviation where there are several."""
    if not len(values):
        return MISSING
    mean = float(values.mean())
    if len(values) == 1:
        return Cell(f"{mean:.4g}", mean)
    deviation = f' <span class="muted">± {values.std(ddof=1):.2g}</span>'
    return Cell(f"{mean:.4g}{deviation}", mean)


def head_row(names: Iterable[str]) -> str:
    """The head of a table, with a button for each column."""
    cells = "".join(f'<th scope="col"><button>{escape(name)}</button></th>' for name in names)
    return f"<tr>{cells}</tr>"


def body_row(cells: Iterable[Cell], attributes: str = "") -> str:
    """A row of cells; `attributes` are those of the row in HTML."""
    return f"<tr{attributes}>{''.join(map(_cell_html, cells))}</tr>"


def table_html(head: str, rows: Iterable[str]) -> str:
    """The content of a table: its head, and its rows."""
    return f"<thead>{head}</thead><tbody>{''.join(rows)}</tbody>"


def _cell_html(cell: Cell) -> str:
    number = ' class="number"' if isinstance(cell.sort_key, (int, float)) else ""
    return f'<td{number} data-value="{escape(str(cell.sort_key))}">{cell.html}</td>'
