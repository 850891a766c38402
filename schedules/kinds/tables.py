"""Reads tables of values from files, and refuses whatever is not exactly such a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..declaration import did_you_mean, refuse
from ..declaration.plain_files import json_value, read_plain
from ..moments import Values

MAX_BYTES = 256 * 2**20
"""How large a file of values may be."""


@dataclass(frozen=True, eq=False)  # comparing arrays does not give a single boolean
class ValueTable:
    """The values of a table, and the step of each where the file has a column of steps."""

    values: Values
    steps: list[int] | None = None


class UnreadableTableError(ValueError):
    """A file does not hold a table of values; the message is the rule that it breaks."""


def read_table(file: str) -> ValueTable:
    """The table in a `.csv`, `.json` or `.npy` file.

    Raises:
        Refused: when it is missing, of another kind, ragged, empty, or holds no finite numbers.
    """
    path = Path(file)
    if path.suffix not in _READERS:
        raise refuse("file", file, "must be a .csv, .json or .npy file", _HINT)
    try:
        table = _READERS[path.suffix](path)
    except FileNotFoundError:
        siblings = [str(path.with_name(name)) for name in _sibling_names(path)]
        hint = did_you_mean(file, siblings) if siblings else f"looked in {path.parent.absolute()}"
        raise refuse("file", file, "is not there", hint) from None
    except UnreadableTableError as error:
        raise refuse("file", file, str(error), _HINT) from None
    except Exception as error:  # numpy, csv and json fail in many ways
        why = error.strerror if isinstance(error, OSError) else error
        reason = " ".join(str(why).split()) or type(error).__name__
        raise refuse("file", file, f"can't be read: {reason}", _HINT) from None
    if not len(table.values):
        raise refuse("file", file, "holds no values", _HINT)
    if not np.isfinite(table.values).all():
        row = int(np.flatnonzero(~np.isfinite(table.values))[0])
        raise refuse("file", file, f"must hold finite numbers, and value {row} is none", _HINT)
    return table


_HINT = "`python -m schedules table --output curve.csv` writes such a file"


def _sibling_names(path: Path, limit: int = 20) -> list[str]:
    """The names of the files beside `path` that have its suffix, at most `limit` of them."""
    names = sorted(file.name for file in path.parent.glob(f"*{path.suffix}") if file.is_file())
    return names[:limit]


def _read_csv(path: Path) -> ValueTable:
    text = read_plain(path, MAX_BYTES).decode()
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if header in (["step", "value"], ["value"]):
        rows = rows[1:]
    elif len(header) > 1:
        raise UnreadableTableError("must have one column, or two under the header step,value")
    columns = len(header)
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise UnreadableTableError(
                f"is ragged: row {number} has {len(row)} columns, not {columns}"
            )
    values = np.array([float(row[-1]) for row in rows])
    return ValueTable(values, [int(row[0]) for row in rows] if columns == 2 else None)


def _read_json(path: Path) -> ValueTable:
    content = json_value(read_plain(path, MAX_BYTES))
    if isinstance(content, dict) and set(content) == {"step", "value"}:
        values, steps = _numbers(content["value"]), _numbers(content["step"])
        if len(values) != len(steps):
            raise UnreadableTableError(f"is ragged: {len(steps)} steps and {len(values)} values")
        return ValueTable(values, [int(step) for step in content["step"]])
    return ValueTable(_numbers(content))


def _read_npy(path: Path) -> ValueTable:
    array = np.load(io.BytesIO(read_plain(path, MAX_BYTES)), allow_pickle=False)
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        raise UnreadableTableError(
            f"must be one row of numbers, and is {array.dtype} of shape {array.shape}"
        )
    return ValueTable(array.astype(np.float64))


def _numbers(items: Any) -> Values:
    if not isinstance(items, list) or any(type(item) not in (int, float) for item in items):
        raise UnreadableTableError('must be a list of numbers, or {"step": [...], "value": [...]}')
    return np.array(items, dtype=np.float64)


_READERS: dict[str, Callable[[Path], ValueTable]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".npy": _read_npy,
}
