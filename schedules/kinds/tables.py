"""Tables of values in files, read strictly."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..declaration import did_you_mean, refuse
from ..moments import Values


@dataclass(frozen=True, eq=False)  # arrays have no one truth to compare by
class Rows:
    """The values of a table, and the step of each where the table tells it."""

    values: Values
    steps: list[int] | None = None


class UnreadableTableError(ValueError):
    """A table that does not hold what it should; the message is a rule that it breaks."""


def read(file: str) -> Rows:
    """The rows of a `.csv`, `.json` or `.npy` file.

    Raises:
        Refused: when it is missing, of another kind, ragged, empty, or holds no finite numbers.
    """
    path = Path(file)
    if path.suffix not in _READERS:
        raise refuse("file", file, "must be a .csv, .json or .npy file", _HINT)
    try:
        rows = _READERS[path.suffix](path)
    except FileNotFoundError:
        there = [str(path.with_name(name)) for name in _neighbours(path)]
        hint = did_you_mean(file, there) if there else f"looked in {path.parent.absolute()}"
        raise refuse("file", file, "is not there", hint) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        rule = str(error) if isinstance(error, UnreadableTableError) else f"can't be read: {error}"
        raise refuse("file", file, rule, _HINT) from None
    if not len(rows.values):
        raise refuse("file", file, "holds no values", _HINT)
    if not np.isfinite(rows.values).all():
        row = int(np.flatnonzero(~np.isfinite(rows.values))[0])
        raise refuse("file", file, f"must hold finite numbers, and value {row} is none", _HINT)
    return rows


_HINT = "`python -m schedules table --output curve.csv` writes such a file"


def _neighbours(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.glob(f"*{path.suffix}") if other.is_file())[
        :20
    ]


def _csv(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        lines = [row for row in csv.reader(file) if row]
    header = [name.strip().lower() for name in lines[0]] if lines else []
    if header in (["step", "value"], ["value"]):
        lines = lines[1:]
    elif len(header) > 1:
        raise UnreadableTableError("must have one column, or two under the header step,value")
    columns = len(header)
    for number, row in enumerate(lines, start=1):
        if len(row) != columns:
            raise UnreadableTableError(
                f"is ragged: row {number} has {len(row)} columns, not {columns}"
            )
    values = np.array([float(row[-1]) for row in lines])
    return Rows(values, [int(row[0]) for row in lines] if columns == 2 else None)


def _json(path: Path) -> Rows:
    held = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(held, dict) and set(held) == {"step", "value"}:
        values, steps = _numbers(held["value"]), _numbers(held["step"])
        if len(values) != len(steps):
            raise UnreadableTableError(f"is ragged: {len(steps)} steps and {len(values)} values")
        return Rows(values, [int(step) for step in held["step"]])
    return Rows(_numbers(held))


def _npy(path: Path) -> Rows:
    held = np.load(path, allow_pickle=False)
    if held.ndim != 1 or held.dtype.kind not in "fiu":
        raise UnreadableTableError(
            f"must be one row of numbers, and is {held.dtype} of shape {held.shape}"
        )
    return Rows(held.astype(np.float64))


def _numbers(held: Any) -> Values:
    if not isinstance(held, list) or any(type(item) not in (int, float) for item in held):
        raise UnreadableTableError('must be a list of numbers, or {"step": [...], "value": [...]}')
    return np.array(held, dtype=np.float64)


_READERS: dict[str, Callable[[Path], Rows]] = {".csv": _csv, ".json": _json, ".npy": _npy}
