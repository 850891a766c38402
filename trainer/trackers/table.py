"""The rows of a run as a table for spreadsheets, `metrics.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from ..runs.csv_cells import plain_cell
from .rows import Row
from .tracker import Tracked, Tracker, TrackerRun


class Csv(Tracker):
    """`metrics.csv` in the run's folder: the rows of `metrics.jsonl` in columns.

    Every number reads back to the same bits; a cell is empty where a row lacks its number. The
    file is written anew whenever the run goes on, and agrees with `metrics.jsonl` at the end.
    """

    kind: Literal["csv"] = "csv"

    def open(self, run: Tracked) -> TrackerRun:
        name = run.tracker_name
        return Table(run.folder / ("metrics.csv" if name == "csv" else f"{name}.csv"))


class Table(TrackerRun):
    """A CSV file with a column for every name that any of its rows has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] = []
        self._file: IO[str] | None = None

    def go_on(self, step: int) -> None:
        if self._file is None:  # the rows from before are written first
            return
        self._rewrite(row for row in self._read() if is_before(row, step))

    def write(self, rows: Sequence[Row]) -> None:
        new = dict.fromkeys(name for row in rows for name in row if name not in self._columns)
        if new or self._file is None:
            written = self._read() if self._file else []
            self._columns += new
            self._rewrite(written)
        assert self._file
        csv.DictWriter(self._file, self._columns, lineterminator="\n").writerows(rows)

    def show(self) -> None:
        if self._file:
            self._file.flush()

    def close(self, result: Mapping[str, Any] | None) -> None:
        if self._file:
            self._file.close()

    def _read(self) -> list[dict[str, str]]:
        self.show()
        with self._path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, self._columns)
            return list(rows)[1:]

    def _rewrite(self, rows: Any) -> None:
        draft = self._path.with_name(f".{self._path.name}")
        draft.unlink(missing_ok=True)
        file = draft.open("x", newline="", encoding="utf-8")  # follows no link
        table = csv.DictWriter(file, self._columns, lineterminator="\n")
        table.writerow({name: plain_cell(name) for name in self._columns})
        table.writerows(rows)
        draft.replace(self._path)
        if self._file:
            self._file.close()
        self._file = file


def is_before(row: Mapping[str, Any], step: int) -> bool:
    """Whether a row is of one of the first `step` updates, or of the state after one of them.

    >>> update, evaluation = {"step": 5, "learning_rate": 0.1}, {"step": 5, "eval_loss": 2.3}
    >>> is_before(update, 5), is_before(update, 6), is_before(evaluation, 5)
    (False, True, True)
    """
    return int(row["step"]) < step + (not is_of_update(row))


def is_of_update(row: Mapping[str, Any]) -> bool:
    """Whether a row is of an update, and not of the state after one."""
    return row.get("learning_rate") not in (None, "")
