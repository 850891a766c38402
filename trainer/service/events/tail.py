"""The end of a file of rows that is being written, read and made JSON once for all who watch it."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from json import dumps
from pathlib import Path
from typing import Any, NamedTuple

from ..rows.cursor import Cursor
from ..rows.rows_file import opened
from ..rows.series import series_of
from ..rows.short_rows import tables_of

MAX_BYTES = 2**21
"""The most bytes of rows that are told at once; who has missed more reads anew."""
POINTS = 100
"""In how many buckets the rows of a message are told."""
MEMORY = 16
"""How many messages are kept for streams that are a little behind."""


class Message(NamedTuple):
    """What was written behind a place of a file, up to its end then."""

    data: str
    """The data of an event, as JSON; "" where there are too many rows for one."""
    end: Cursor


class Tail:
    """How far the file of a run's rows is, and messages about what was written behind a place."""

    def __init__(self, run: str, path: Path) -> None:
        self._run = run
        self._path = path
        self._lock = threading.Lock()
        self._messages: OrderedDict[tuple[int, int, int], Message] = OrderedDict()
        self.end = Cursor.start()
        """The end of the last whole line."""
        self.generation = 0
        """Grows whenever the file was cut back or is another one."""

    def close(self) -> None:
        """Forgets the messages."""
        self._messages.clear()

    def look(self) -> bool:
        """Looks how far the file is; whether that is another place than before.

        What was written since the last look is ready for all who have heard of what was before.
        """
        with self._lock, suppress(OSError), opened(self._path) as (descriptor, size):
            before = self.end.offset
            if self._look(descriptor, size):
                if 0 < before < self.end.offset:
                    self._message(before)
                return True
        return False

    def _look(self, descriptor: int, size: int) -> bool:
        is_cut = not self.end.holds(descriptor)
        if size == self.end.offset and not is_cut:
            return False
        begin = 0 if is_cut else self.end.offset
        end = self.end.offset if not is_cut else 0
        content = os.pread(descriptor, min(size - begin, MAX_BYTES), max(begin, size - MAX_BYTES))
        if last := content.rfind(b"\n") + 1:
            end = max(begin, size - MAX_BYTES) + last
        if is_cut:
            self.generation += 1
            self._messages.clear()
        elif end == self.end.offset:
            return False
        self.end = Cursor.at(descriptor, end)
        return True

    def holds(self, cursor: Cursor) -> bool:
        """Whether the file still has before a place what it had then."""
        with suppress(OSError), opened(self._path) as (descriptor, _):
            return cursor.holds(descriptor)
        return cursor.offset == 0

    def ready(self, begin: int) -> Message | None:
        """The message about the rows behind a place, if there is one already; never waits."""
        return self._messages.get((self.generation, begin, self.end.offset))

    def message(self, begin: int) -> Message:
        """The message about the rows behind a place."""
        with self._lock:
            return self._message(begin)

    def _message(self, begin: int) -> Message:
        key = (self.generation, begin, self.end.offset)
        if key not in self._messages:
            self._messages[key] = Message(self._read(begin), self.end)
            while len(self._messages) > MEMORY:
                self._messages.popitem(last=False)
        return self._messages[key]

    def _read(self, begin: int) -> str:
        end = self.end.offset
        if not begin <= end <= begin + MAX_BYTES:
            return ""
        with suppress(OSError), opened(self._path) as (descriptor, _):
            series = rows_member(os.pread(descriptor, end - begin, begin), POINTS)
            data = {"run": self._run, "from": begin, "to": end, "cursor": str(self.end),
                    "series": series}  # fmt: skip
            return dumps(data, allow_nan=False)
        return ""


def rows_member(lines: bytes, points: int) -> dict[str, Any]:
    """The series of whole lines, each in at most about `points` buckets."""
    tables = tables_of(lines)
    names = [name for table in tables.values() for name in table.names]
    return series_of(tables, names, points)


def event(name: str, data: Any, place: str = "") -> bytes:
    """An event as a stream has it; one that breaks may go on from `place`."""
    return event_of_text(name, dumps(data, allow_nan=False), place)


def event_of_text(name: str, text: str, place: str = "") -> bytes:
    """The same of data that is JSON already."""
    line = f"id: {place}\n" if place else ""
    return f"event: {name}\n{line}data: {text}\n\n".encode()
