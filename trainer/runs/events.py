"""What happened to a run besides its updates: `events.jsonl`, one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schedules.declaration import ABSENT, refuse
from schedules.declaration.plain_files import json_value, read_plain

from .atomic_files import Lines
from .known_secrets import veil_tree
from .orders import Order

MAX_BYTES = 64 * 2**20
"""How large a record of events may be."""

FILE = "events.jsonl"
Event = dict[str, Any]


class _Event(BaseModel):
    """What is relied on where events are read."""

    model_config = ConfigDict(strict=True)

    step: Annotated[int, Field(ge=0, lt=2**63)]
    event: str


class _Command(_Event):
    """Orders that were obeyed, as they were typed."""

    event: Literal["command"]
    orders: list[str]
    id: str
    rewinds: Annotated[int, Field(ge=0)]


class Events:
    """Commands, stops, rewinds and errors, each with the step before which it happened.

    No event is ever removed: a run that goes back keeps the events of the steps it repeats.
    """

    def __init__(self, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        """Reads the events of before; `check` is called as by `Lines`.

        Raises:
            OSError: when the file can't be read and written.
            Refused: as by `own_events`.
        """
        self.rows = own_events(folder)
        self._lines = Lines(folder / FILE, check)
        # The event of a line that a kill has torn took no effect.
        self._lines.cut(len(self._lines.read()))

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


def own_events(folder: Path) -> list[Event]:
    """The events in a run's own folder, none where it has no file of them.

    Raises:
        Refused: when it can't be read, or a line is no event and was not spoilt by a power cut.
    """
    path = folder / FILE
    try:
        content = read_plain(path, MAX_BYTES, follow_links=False)
    except FileNotFoundError:
        return []
    except OSError as error:
        hint = "remove it: the orders in it are then not repeated"
        raise refuse(str(path), ABSENT, f"can't be read: {error.strerror}", hint) from None
    events = []
    *whole, _ = content.split(b"\n")  # what follows the last end of a line, a kill has torn
    for number, line in enumerate(whole, start=1):
        if b"\0" not in line:  # as a power cut leaves a block that was not written
            try:
                events.append(_event(line))
            except ValueError as error:
                rule = f"line {number} is no event: {str(error).splitlines()[0]}"
                raise refuse(str(path), ABSENT, rule, "take the line out") from None
    return events


def events_of(path: Path) -> list[Event]:
    """The events in a file that a user names, each of whose lines must be one.

    Raises:
        Refused: with the file as value, when it can't be read or is no record of events.
    """
    hint = "the events.jsonl of a run"
    try:
        content = read_plain(path, MAX_BYTES)
    except OSError as error:
        raise refuse("", str(path), f"can't be read: {error.strerror}", hint) from None
    lines = list(enumerate(content.splitlines(), start=1))
    events = []
    for number, line in lines:
        try:
            events.append(_event(line))
        except ValueError as error:
            if events and number == len(lines) and not content.endswith(b"\n"):
                break  # the run is just writing it
            rule = f"is no record of events: line {number}: {str(error).splitlines()[0]}"
            raise refuse("", str(path), rule, hint) from None
    return events


def _event(line: bytes) -> Event:
    """The event of a line.

    Raises:
        ValueError: when it is none.
    """
    row: Event = json_value(line)
    try:
        if _Event.model_validate(row).event == "command":
            for order in _Command.model_validate(row).orders:
                Order.parse(order)
    except ValidationError as error:
        [first, *_] = error.errors()
        where = ".".join(map(str, first["loc"]))
        raise ValueError(": ".join(filter(None, (where, first["msg"])))) from None
    return row
