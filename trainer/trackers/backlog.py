"""The queue of what a tracker has yet to do: acts, such as closing, and rows to write."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic

from . import Rows, TrackerRun

MAX_WAITING_ROWS = 50_000
"""The most rows that wait for a tracker; beyond, every second update's row is left out."""
MAX_ROWS_PER_CALL = 1000
"""The most rows that a tracker gets in one call."""
GATHERED_SECONDS = 0.5
"""How long rows may wait for others, to be written in one call.

A thread that wakes up takes a core from the training, and Python from its loop.
"""

Act = Callable[[TrackerRun], None]


class Backlog:
    """A queue of acts and rows, first in, first out. Threads that share it need a lock."""

    def __init__(self) -> None:
        self._waiting: list[Act | Rows] = []
        self._rows_at_end = 0
        """How many rows are behind the last act that waits."""
        self._waiting_since = 0.0
        """When rows were put into the empty queue."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(len(entry) for entry in self._waiting if isinstance(entry, Rows))

    def add(self, act: Act) -> None:
        """Puts an act behind everything that waits."""
        self._waiting.append(act)
        self._rows_at_end = 0

    def write(self, rows: Rows) -> bool:
        """Puts rows behind everything that waits, and returns whether some had to be left out."""
        if not self._waiting:
            self._waiting_since = monotonic()
        self._waiting.append(rows)
        self._rows_at_end += len(rows)
        if self._rows_at_end <= MAX_WAITING_ROWS:
            return False
        self._thin()
        return True

    def due(self) -> float:
        """When to take something out: an act at once, rows when many or old enough."""
        if self._rows_at_end >= MAX_ROWS_PER_CALL or not all(
            isinstance(e, Rows) for e in self._waiting
        ):
            return -inf
        return self._waiting_since + GATHERED_SECONDS

    def take(self) -> Act | Rows | None:
        """Takes out the oldest act, or the oldest rows, `MAX_ROWS_PER_CALL` at most."""
        entry = self._pop()
        self._rows_at_end = sum(map(len, self._parts_at_end()))
        return entry

    def _pop(self) -> Act | Rows | None:
        if not self._waiting:
            return None
        first = self._waiting.pop(0)
        if not isinstance(first, Rows):
            return first
        if len(first) > MAX_ROWS_PER_CALL:
            self._waiting.insert(0, first[MAX_ROWS_PER_CALL:])
            return first[:MAX_ROWS_PER_CALL]
        parts, count = [first], len(first)
        while self._waiting and isinstance(rows := self._waiting[0], Rows):
            count += len(rows)
            if count > MAX_ROWS_PER_CALL or rows.names != first.names:
                break
            parts.append(rows)
            del self._waiting[0]
        return Rows.concatenated(parts) if len(parts) > 1 else first

    def _parts_at_end(self) -> list[Rows]:
        """The entries behind the last act that waits."""
        parts = []
        for entry in reversed(self._waiting):
            if not isinstance(entry, Rows):
                break
            parts.append(entry)
        return parts[::-1]

    def _thin(self) -> None:
        """Leaves out every second update's row, and no evaluation's."""
        parts = self._parts_at_end()
        passed = 0
        for index, rows in enumerate(parts, len(self._waiting) - len(parts)):
            if "loss" in rows.names:
                self._waiting[index] = rows[passed % 2 :: 2]
                passed += len(rows)
        self._waiting = [entry for entry in self._waiting if not isinstance(entry, Rows) or entry]
        self._rows_at_end = sum(map(len, self._parts_at_end()))
