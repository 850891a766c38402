"""The rows of a run, one JSON object a line in `metrics.jsonl`, brought to the trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..runs.atomic_files import Lines, objects
from ..trackers import Lot, Row
from ..trackers.delivery import Couriers

WALL_CLOCK = ("updates_per_second",)
"""What a row tells of the machine and not of the training."""


class Record:
    """A row with `"step": t` tells of update t; one with `eval_…`, of the state after `step`.

    A kill loses what came after the last checkpoint, and the updates since are made again. Their
    rows must then be the same, which is checked while they are written again.
    """

    def __init__(self, folder: Path, couriers: Couriers) -> None:
        self._lines = Lines(folder / "metrics.jsonl")
        self._couriers = couriers
        self._before: dict[tuple[int, bool], Row] = {}

    def go_on(self, position: int, step: int, *, again: bool) -> None:
        """Goes on after `position`, where a checkpoint of `step` left it.

        `again` says that the rows which came after are to be made once more, bit for bit.

        Raises:
            EOFError: when the file is shorter than that, so that rows are missing.
        """
        rows = objects(self._lines.read(position)) if again else ()
        self._before = {_subject(row): _lasting(row) for row in rows if "step" in row}
        self._lines.cut(position)
        self._couriers.go_on(step)

    def write(self, rows: Lot) -> list[int]:
        """Adds rows, and gives the steps whose row was another one before a kill.

        Raises:
            Unwritten: when the disk has refused too many.
        """
        if rows:
            self._lines.add(rows.text())
            self._couriers.write(rows)
        return list(self._departed(rows))

    def position(self) -> int:
        """Where the next row will begin."""
        return self._lines.position()

    def sync(self) -> None:
        """Puts every row up to the last `position` on the disk; any thread may ask for it.

        Raises:
            OSError: when the disk refuses; the rows are still held.
        """
        self._lines.sync()

    def close(self) -> None:
        self._lines.close()

    def _departed(self, rows: Lot) -> Iterator[int]:
        for row in rows if self._before else ():
            before = self._before.pop(_subject(row), None)
            if before is not None and before != _lasting(row):
                yield row["step"]


def _subject(row: Mapping[str, Any]) -> tuple[int, bool]:
    """What a row tells of: an update, or the state after one."""
    return row["step"], "loss" in row


def _lasting(row: Mapping[str, Any]) -> Row:
    return {name: value for name, value in row.items() if name not in WALL_CLOCK}
