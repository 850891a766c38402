"""Bringing the rows to the trackers, each by a thread of its own, so that no run waits for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from threading import Condition, Thread
from time import monotonic
from typing import Any

from ..runs.atomic_files import objects
from ..runs.folder import Folder
from ..runs.identity import flat
from ..runs.provenance import code
from ..runs.redaction import anonymous
from . import Log, Row, Rows, Tracked, Tracker, TrackerRun
from .backlog import Act, Backlog
from .table import made

SHOWN_SECONDS = 5.0
"""How long a reader may have to wait for what is written down."""
SILENT_SECONDS = 60.0
"""After how long a tracker that does not come back is told of."""
PATIENCE = 60.0
"""How long the end of a run waits for its trackers to have everything."""
HURRIED = 1.0
"""How long it does where somebody waits for the process to end."""


class TrackerThread:
    """Tells one tracker of what happens, in order, and never keeps anybody waiting.

    A tracker that raises is done with: nothing more is brought to it, and `news` says so once.
    """

    def __init__(self, tracker: Tracker, run: Tracked) -> None:
        self._tracker, self._run = tracker, run
        self._backlog = Backlog()
        self._changed = Condition()
        self._news: list[str] = []
        self._busy_since: float | None = None
        self._begun = self._silent = self._thinned = self._over = False
        self._thread = Thread(target=self._deliver, name=f"log.{run.called}", daemon=True)
        self._thread.start()

    def go_on(self, step: int) -> None:
        """Tells that updates from `step` on are about to be made, again or for the first time."""

        def act(book: TrackerRun) -> None:
            if lacking := [row for row in self._earlier(step) if row["step"] >= book.has]:
                book.go_on(book.has)
                book.write(lacking)
            book.go_on(step)

        self._add(act)

    def write(self, rows: Rows) -> None:
        """Tells of rows."""
        with self._changed:
            if self._over:
                return
            if not self._backlog:
                self._changed.notify_all()
            if self._backlog.write(rows) and not self._thinned:
                self._thinned = True
                what = "it gets some of the rows; metrics.jsonl has all"
                self._say(f"is slower than training: {what}")

    def close(self, result: Mapping[str, Any] | None, patience: float) -> None:
        """Tells how the run ended, and waits for a while until the tracker has heard it all."""
        self._add(lambda book: book.close(result))
        with self._changed:
            if self._is_silent():
                patience = min(patience, HURRIED)
            self._changed.wait_for(lambda: self._over or self._idle(), patience)
            if not self._over and not self._idle():
                rows = self._backlog.rows
                self._say(f"did not come back at the end: {rows} rows and the result are lost")
            self._over = True
            self._changed.notify_all()

    def news(self) -> list[str]:
        """What somebody should hear of, each thing once."""
        with self._changed:
            if self._is_silent() and not self._silent and not self._over:
                self._silent = True
                self._say("has not come back for a while; training goes on without it")
            news, self._news = self._news, []
        return news

    def _deliver(self) -> None:
        try:
            self._busy_since = monotonic()
            book = self._tracker.open(self._run)
            for act in self._acts():
                act(book)
        except Exception as error:
            with self._changed:
                self._say(f"failed, and is left out from here on: {_told(error)}")
                self._over = True
                self._backlog = Backlog()
                self._changed.notify_all()

    def _acts(self) -> Iterator[Act]:
        """What to do next, until it is over."""
        shown = monotonic()
        unseen = False
        while True:
            with self._changed:
                self._busy_since = None
                self._changed.notify_all()
                self._gather(shown + SHOWN_SECONDS if unseen else None)
                if self._over:
                    return
                entry = self._backlog.take()
                self._busy_since = monotonic()
            if isinstance(entry, Rows):
                yield _writing(entry)
                unseen = True
            elif entry is not None:
                yield entry
            if unseen and monotonic() >= shown + SHOWN_SECONDS:
                yield lambda book: book.show()
                shown, unseen = monotonic(), False

    def _gather(self, until: float | None) -> None:
        """Waits for something to do, at the latest until then."""
        while not self._over:
            due = self._backlog.due() if self._backlog else until
            rest = None if due is None else due - monotonic()
            if rest is not None and rest <= 0:
                return
            self._changed.wait(rest)

    def _add(self, act: Act) -> None:
        with self._changed:
            if not self._over:
                self._backlog.add(act)
                self._changed.notify_all()

    def _idle(self) -> bool:
        return not self._backlog and self._busy_since is None

    def _earlier(self, step: int) -> list[Row]:
        """The rows of what was done before `step`, the first time that somebody asks."""
        metrics = self._run.folder / "metrics.jsonl"
        if self._begun or not step or not metrics.exists():
            return []
        self._begun = True
        return [row for row in objects(metrics.read_bytes()) if made(row, step)]

    def _is_silent(self) -> bool:
        since = self._busy_since
        return since is not None and monotonic() - since > SILENT_SECONDS

    def _say(self, said: str) -> None:
        self._news.append(f"log.{self._run.called} {said}")


class Trackers:
    """The couriers of all the trackers of a run."""

    def __init__(self, couriers: Iterable[TrackerThread] = ()) -> None:
        self._couriers = tuple(couriers)

    @classmethod
    def of(cls, log: Log, folder: Folder) -> Trackers:
        """Those of a run that is declared in its folder."""
        config = flat(folder.written())
        runs = (Tracked(folder.path, name, config, code()) for name in log.trackers)
        return cls(map(TrackerThread, log.trackers.values(), runs))

    def go_on(self, step: int) -> None:
        """Tells that updates from `step` on are about to be made, again or for the first time."""
        for courier in self._couriers:
            courier.go_on(step)

    def write(self, rows: Rows) -> None:
        """Tells of rows."""
        if rows:
            for courier in self._couriers:
                courier.write(rows)

    def news(self) -> list[str]:
        """What somebody should hear of, each thing once."""
        return [said for courier in self._couriers for said in courier.news()]

    def close(self, result: Mapping[str, Any] | None, patience: float = PATIENCE) -> None:
        """Tells how the run ended; `patience` is how many seconds all of them have, together."""
        until = monotonic() + patience
        for courier in self._couriers:
            courier.close(result, max(0.0, until - monotonic()))


def _writing(rows: Rows) -> Act:
    return lambda book: book.write(rows)


def _told(error: Exception) -> str:
    """What went wrong, in a line without credentials."""
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {anonymous(line)[:300]}".removesuffix(": ")
