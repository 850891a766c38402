"""What waits for a tracker: rows, and what else it is to be told, in the order it happened."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic

from . import Rows, TrackerRun

HELD = 50_000
"""The rows that wait for a tracker; with more of them, it gets every second update's."""
AT_ONCE = 1000
"""The rows that a tracker is told of at a time."""
GATHERED_SECONDS = 0.5
"""How long rows may wait for others, so that a tracker is told of many at a time.

A thread that wakes up takes a core from the training, and Python from its loop.
"""

Act = Callable[[TrackerRun], None]


class Backlog:
    """Acts and rows, as they came; who shares it between threads lets one at a time have it."""

    def __init__(self) -> None:
        self._waiting: list[Act | Rows] = []
        self._lately = 0
        """How many rows wait, after which nothing else happened."""
        self._since = 0.0
        """When the first of what waits came."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(len(entry) for entry in self._waiting if isinstance(entry, Rows))

    def add(self, act: Act) -> None:
        """Puts an act behind all that waits."""
        self._waiting.append(act)
        self._lately = 0

    def write(self, rows: Rows) -> bool:
        """Puts rows behind all that waits; gives whether that were so many that some had to go."""
        if not self._waiting:
            self._since = monotonic()
        self._waiting.append(rows)
        self._lately += len(rows)
        if many := self._lately > HELD:
            self._thin()
        return many

    def due(self) -> float:
        """When to take something out: rows wait until they are many or have waited for a while."""
        if self._lately >= AT_ONCE or not all(isinstance(e, Rows) for e in self._waiting):
            return -inf
        return self._since + GATHERED_SECONDS

    def take(self) -> Act | Rows | None:
        """Takes out what has waited longest; of rows as many as a tracker is told of at a time."""
        entry = self._first()
        self._lately = sum(map(len, self._latest()))
        return entry

    def _first(self) -> Act | Rows | None:
        """What has waited longest; of many rows the first, so that one can tell it comes back."""
        if not self._waiting:
            return None
        first = self._waiting.pop(0)
        if not isinstance(first, Rows):
            return first
        if len(first) > AT_ONCE:
            self._waiting.insert(0, first[AT_ONCE:])
            return first[:AT_ONCE]
        lots, count = [first], len(first)
        while self._waiting and isinstance(lot := self._waiting[0], Rows):
            count += len(lot)
            if count > AT_ONCE or lot.names != first.names:
                break
            lots.append(lot)
            del self._waiting[0]
        return Rows.joined(lots) if len(lots) > 1 else first

    def _latest(self) -> list[Rows]:
        """The rows after which nothing else happened."""
        lots = []
        for entry in reversed(self._waiting):
            if not isinstance(entry, Rows):
                break
            lots.append(entry)
        return lots[::-1]

    def _thin(self) -> None:
        """Leaves out every second update's row; an evaluation's stays."""
        lots = self._latest()
        passed = 0
        for at, lot in enumerate(lots, len(self._waiting) - len(lots)):
            if "loss" in lot.names:
                self._waiting[at] = lot[passed % 2 :: 2]
                passed += len(lot)
        self._waiting = [entry for entry in self._waiting if not isinstance(entry, Rows) or entry]
        self._lately = sum(map(len, self._latest()))
