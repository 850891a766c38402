"""What happened to a run besides its updates: `events.jsonl`, one JSON object a line."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .atomic_files import Lines, objects

Event = dict[str, Any]


class Events:
    """Commands, stops, rewinds and troubles, each with the step before which it happened.

    Nothing is ever taken out: a run that goes back keeps the record of what it went through.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = Lines(folder / "events.jsonl")
        whole = self._lines.read()
        self._lines.cut(len(whole))  # a line torn by a kill told of nothing that took effect
        self.rows: list[Event] = list(objects(whole))

    def add(self, step: int, event: str, **told: Any) -> Event:
        """Records that before update `step`, `event` happened; on the disk, where that takes it."""
        row = {"step": step, "event": event, **told, "time": round(time.time(), 3)}
        self.rows.append(row)
        self._lines.add(json.dumps(row) + "\n")
        with suppress(OSError):  # held, and tried again
            self._lines.sync()
        return row

    def close(self) -> None:
        self._lines.close()
