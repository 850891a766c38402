"""Cells of a CSV file that no spreadsheet takes for a formula."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMULA_BEGINS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # as East Asia types them


def plain_cell(value: Any) -> Any:
    """The value, with an apostrophe before a text that a spreadsheet would compute.

    A spreadsheet takes what follows the apostrophe for text. Numbers stay numbers. A carriage
    return is written as a line feed, since `csv` puts no quotes around it. Source: OWASP, "CSV
    Injection".

    >>> plain_cell("=1+1"), plain_cell("-0.5"), plain_cell(-0.5), plain_cell("cosine")
    ("'=1+1", '-0.5', -0.5, 'cosine')
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip().startswith(FORMULA_BEGINS):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of cells and the names of their columns."""
    return {plain_cell(name): plain_cell(value) for name, value in row.items()}
