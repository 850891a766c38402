"""The rows of a run on their way: to `metrics.jsonl`, one JSON object a line, and to trackers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..runs.atomic_files import Lines
from ..runs.metrics_file import metric_rows
from ..trackers import Row, Rows
from ..trackers.delivery import PATIENCE, SHORT_PATIENCE, Trackers

WALL_CLOCK = ("updates_per_second",)
"""What a row tells of the machine and not of the training."""


class MetricsLog:
    """A row with `"step": t` tells of update t; one with `eval_…`, of the state after `step`.

    A kill loses what came after the last checkpoint, and the updates since are made again. Their
    rows must then be the same, which is checked while they are written again.
    """

    def __init__(
        self, folder: Path, trackers: Trackers, check: Callable[[], None] = lambda: None
    ) -> None:
        """Opens the file in a run's folder; `check` is called as by `Lines`."""
        self._lines = Lines(folder / "metrics.jsonl", check)
        self._trackers = trackers
        self._before: dict[tuple[int, bool], Row] = {}

    def go_on(
        self,
        position: int,
        step: int,
        *,
        again: bool,
        belongs: Callable[[Row], bool] | None = None,
    ) -> None:
        """Goes on after `position`, where a checkpoint of `step` left it.

        `again` says that the rows which came after are to be made once more, bit for bit. A run
        that was to end at `step` has a last update and an evaluation there whose rows may not
        `belong` to one that goes on; they are removed.

        Raises:
            EOFError: when the file is shorter than that, so that rows are missing.
        """
        rows = metric_rows(self._lines.read(position)) if again else ()
        self._before = {_subject(row): _lasting(row) for row in rows}
        last = self._lines.last(2, before=position) if belongs else []
        last = [line for line in last if json.loads(line)["step"] >= step - 1]
        kept = [line for line in last if belongs and belongs(json.loads(line))]
        if kept == last:
            self._lines.cut(position)
            self._trackers.go_on(step)
            return
        self._lines.cut(position - sum(len(line.encode()) for line in last))
        self._lines.add("".join(kept))
        gone = min(json.loads(line)["step"] for line in last if line not in kept)
        self._trackers.go_on(min(gone, step), [json.loads(line) for line in kept])

    def write(self, rows: Rows) -> list[int]:
        """Adds rows, and gives the steps whose row was another one before a kill.

        Raises:
            WriteError: when the disk has refused too many.
        """
        if rows:
            self._lines.add(rows.json_lines())
            self._trackers.write(rows)
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

    def news(self) -> list[str]:
        """What somebody should hear of the trackers, each thing once."""
        return self._trackers.news()

    def end(self, result: Mapping[str, Any], *, hurried: bool) -> None:
        """Lets the trackers know how the run ended, and waits for them a while."""
        self._trackers.close(result, SHORT_PATIENCE if hurried else PATIENCE)

    def close(self) -> None:
        """Closes the file, and lets go of trackers that are still at work."""
        self._lines.close()
        self._trackers.close(None, SHORT_PATIENCE)

    def _departed(self, rows: Rows) -> Iterator[int]:
        for row in rows if self._before else ():
            before = self._before.pop(_subject(row), None)
            if before is not None and before != _lasting(row):
                yield row["step"]


def _subject(row: Mapping[str, Any]) -> tuple[int, bool]:
    """What a row tells of: an update, or the state after one."""
    return row["step"], "loss" in row


def _lasting(row: Mapping[str, Any]) -> Row:
    return {name: value for name, value in row.items() if name not in WALL_CLOCK}
