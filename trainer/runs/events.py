"""What happened to a run besides its updates: `events.jsonl`, one JSON object a line."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .atomic_files import Lines, json_objects
from .known_secrets import veil_tree

Event = dict[str, Any]


class Events:
    """Commands, stops, rewinds and errors, each with the step before which it happened.

    No event is ever removed: a run that goes back keeps the events of the steps it repeats.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = Lines(folder / "events.jsonl")
        whole = self._lines.read()
        self._lines.cut(len(whole))  # the event of a line that a kill has torn took no effect
        self.rows: list[Event] = list(json_objects(whole))

    def add(self, step: int, event: str, **details: Any) -> Event:
        """Records an event that happened before update `step`, and returns its row."""
        row = {
            "step": step,
            **veil_tree({"event": event, **details}),
            "time": round(time.time(), 3),
        }
        self.rows.append(row)
        self._lines.add(json.dumps(row) + "\n")
        with suppress(OSError):  # the line is held, and written later
            self._lines.sync()
        return row

    def close(self) -> None:
        self._lines.close()
