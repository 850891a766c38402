"""Bringing the rows to the trackers, each on a thread of its own: no run waits for a tracker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from threading import Condition, Thread
from time import monotonic
from typing import Any

from schedules.declaration.functions import CODE_ERRORS

from ..runs.folder import Folder
from ..runs.identity import flat
from ..runs.known_secrets import veil
from ..runs.metrics_file import metric_rows, read_lines
from ..runs.provenance import code
from . import Log, Row, Rows, Tracked, Tracker, TrackerRun
from .backlog import Act, Backlog
from .table import is_before, is_of_update

SHOWN_SECONDS = 5.0
"""How long a reader may have to wait for rows that were written."""
SILENT_SECONDS = 60.0
"""How long one call to a tracker may take before a message says so."""
PATIENCE = 60.0
"""How many seconds the end of a run waits for its trackers to have everything."""
SHORT_PATIENCE = 1.0
"""How many seconds it waits where somebody waits for the process to end."""


class Notice(Enum):
    """What is said of a tracker once, however often it happens."""

    SILENT = "has not come back for a while; training goes on without it"
    THINNED = "is slower than training: it gets some of the rows; metrics.jsonl has all"


class TrackerThread:
    """Calls one tracker on a thread, in the order of what happened. No method waits but `close`.

    A tracker that raises is closed: it gets nothing more, and `news` says so once.
    """

    def __init__(self, tracker: Tracker, run: Tracked) -> None:
        self._tracker, self._run = tracker, run
        self._backlog = Backlog()
        self._changed = Condition()
        self._news: list[str] = []
        self._noticed: set[Notice] = set()
        self._busy_since: float | None = None
        self._closed = False
        """Whether nothing more is brought: the run has ended, or the tracker has failed."""
        self._earlier_rows_sent = False
        """Whether the rows from before this process were sent. Only the thread uses it."""
        self._thread = Thread(target=self._deliver, name=f"log.{run.tracker_name}", daemon=True)
        self._thread.start()

    def go_on(self, step: int, kept: Sequence[Row] = ()) -> None:
        """Queues that updates from `step` on are about to be made, again or for the first time.

        Of rows from `step` on, `kept` are those that stay.
        """

        def act(tracker_run: TrackerRun) -> None:
            rows = self._rows_before(step)
            if not self._earlier_rows_sent and (missing := _missing(tracker_run, rows)):
                tracker_run.go_on(tracker_run.recorded_updates)
                tracker_run.write(missing)
            self._earlier_rows_sent = True
            tracker_run.go_on(step)
            voided = [row for row in rows[-1:] if row["step"] == step]
            again = [*(voided if tracker_run.voids_evaluation else ()), *kept]
            evaluated = tracker_run.recorded_evaluation
            if again and (evaluated is None or evaluated < again[-1]["step"]):
                tracker_run.write(again)

        self._add(act)

    def write(self, rows: Rows) -> None:
        """Queues rows."""
        with self._changed:
            if self._closed:
                return
            if not self._backlog:
                self._changed.notify_all()
            if self._backlog.write(rows):
                self._notice(Notice.THINNED)

    def close(self, result: Mapping[str, Any] | None, patience: float) -> None:
        """Queues how the run ended, and waits until the tracker has everything.

        It waits `patience` seconds at most, and less for a tracker that is silent.
        """
        self._add(lambda tracker_run: tracker_run.close(result))
        with self._changed:
            if self._is_silent():
                patience = min(patience, SHORT_PATIENCE)
            self._changed.wait_for(lambda: self._closed or self._idle(), patience)
            if not self._closed and not self._idle():
                rows = self._backlog.rows
                self._say(f"did not come back at the end: {rows} rows and the result are lost")
            self._closed = True
            self._changed.notify_all()

    def news(self) -> list[str]:
        """The messages about this tracker since the last call."""
        with self._changed:
            if self._is_silent() and not self._closed:
                self._notice(Notice.SILENT)
            news, self._news = self._news, []
        return news

    def _deliver(self) -> None:
        """What the thread does."""
        try:
            self._busy_since = monotonic()
            tracker_run = self._tracker.open(self._run)
            for act in self._acts():
                act(tracker_run)
        except CODE_ERRORS as error:
            with self._changed:
                self._say(f"failed, and is left out from here on: {_error_line(error)}")
                self._closed = True
                self._backlog = Backlog()
                self._changed.notify_all()

    def _acts(self) -> Iterator[Act]:
        """Yields what to do next, until this is closed."""
        last_shown = monotonic()
        has_unshown_rows = False
        while True:
            with self._changed:
                self._busy_since = None
                self._changed.notify_all()
                self._wait_for_work(last_shown + SHOWN_SECONDS if has_unshown_rows else None)
                if self._closed:
                    return
                entry = self._backlog.take()
                self._busy_since = monotonic()
            if isinstance(entry, Rows):
                yield _writing(entry)
                has_unshown_rows = True
            elif entry is not None:
                yield entry
            if has_unshown_rows and monotonic() >= last_shown + SHOWN_SECONDS:
                yield lambda tracker_run: tracker_run.show()
                last_shown, has_unshown_rows = monotonic(), False

    def _wait_for_work(self, until: float | None) -> None:
        """Waits until something is due, and no longer than `until`."""
        while not self._closed:
            due = self._backlog.due() if self._backlog else until
            rest = None if due is None else due - monotonic()
            if rest is not None and rest <= 0:
                return
            self._changed.wait(rest)

    def _add(self, act: Act) -> None:
        with self._changed:
            if not self._closed:
                self._backlog.add(act)
                self._changed.notify_all()

    def _idle(self) -> bool:
        return not self._backlog and self._busy_since is None

    def _rows_before(self, step: int) -> list[Row]:
        """The rows of the first `step` updates, and of evaluations up to there."""
        metrics = self._run.folder / "metrics.jsonl"
        if not step or not metrics.exists():
            return []
        return [row for row in metric_rows(read_lines(metrics)) if is_before(row, step)]

    def _is_silent(self) -> bool:
        since = self._busy_since
        return since is not None and monotonic() - since > SILENT_SECONDS

    def _notice(self, notice: Notice) -> None:
        if notice not in self._noticed:
            self._noticed.add(notice)
            self._say(notice.value)

    def _say(self, message: str) -> None:
        self._news.append(f"log.{self._run.tracker_name} {message}")


class Trackers:
    """The threads of all the trackers of a run."""

    def __init__(self, threads: Iterable[TrackerThread] = ()) -> None:
        self._threads = tuple(threads)

    @classmethod
    def started(cls, log: Log, folder: Folder) -> Trackers:
        """The threads, running, of a run that is declared in its folder."""
        config = flat(folder.read_config())
        runs = (Tracked(folder.path, name, config, code()) for name in log.trackers)
        return cls(map(TrackerThread, log.trackers.values(), runs))

    def go_on(self, step: int, kept: Sequence[Row] = ()) -> None:
        """Queues that updates from `step` on are about to be made, again or for the first time.

        Of rows from `step` on, `kept` are those that stay.
        """
        for thread in self._threads:
            thread.go_on(step, kept)

    def write(self, rows: Rows) -> None:
        """Queues rows."""
        if rows:
            for thread in self._threads:
                thread.write(rows)

    def news(self) -> list[str]:
        """The messages about trackers since the last call."""
        return [message for thread in self._threads for message in thread.news()]

    def close(self, result: Mapping[str, Any] | None, patience: float = PATIENCE) -> None:
        """Queues how the run ended, and waits `patience` seconds at most for all together."""
        until = monotonic() + patience
        for thread in self._threads:
            thread.close(result, max(0.0, until - monotonic()))


def _missing(tracker_run: TrackerRun, rows: Iterable[Row]) -> list[Row]:
    """Those of the rows that a tracker does not have from before."""
    recorded, evaluation = tracker_run.recorded_updates, tracker_run.recorded_evaluation
    unevaluated = recorded if evaluation is None else evaluation + 1
    return [row for row in rows if row["step"] >= (recorded if is_of_update(row) else unevaluated)]


def _writing(rows: Rows) -> Act:
    return lambda tracker_run: tracker_run.write(rows)


def _error_line(error: BaseException) -> str:
    """The first line of an error, without secrets."""
    line = next(iter(veil(str(error)).strip().splitlines()), "")
    return f"{type(error).__name__}: {line[:300]}".removesuffix(": ")
