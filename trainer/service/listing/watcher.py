"""A thread that looks at the folders below a root, and keeps the index as they are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...runs.folder import Folder
from ...runs.kept_readings import kept_readings
from ...runs.queue_state import RUNNING
from ...runs.run_folders import run_folders
from .index import Entry, Index
from .summary import Summary, read_summary, run_id, signature

LOOK_SECONDS = 1.0
"""How long to wait from one look at the runs' files to the next, at least."""
WALK_SECONDS = 5.0
"""The same for a walk through all folders; one that has changed is walked through at once."""
FRESH_SECONDS = 10.0
"""How long after a folder has changed there may be more to come: a run's files come one by one."""
SHARE = 20
"""A look, or a walk, takes at most one part in so many of the time."""
BATCH = 50

log = logging.getLogger(__name__)


class Watcher(threading.Thread):
    """Polls, since not every file system tells of changes: those of clusters don't."""

    def __init__(
        self,
        root: Path,
        index: Index,
        changed: Callable[[list[str]], None],
        give_way: Callable[[], None] = lambda: None,
        read: Callable[[Path], tuple[Summary, dict[str, Any]]] | None = None,
    ) -> None:
        """`changed` is called from this thread with the ids of runs that are new or other.

        `give_way` is called before each folder that is read, by `read` where more is known of it.
        """
        super().__init__(name="watcher", daemon=True)
        self.root = root
        self.complete = threading.Event()
        """Set once every folder has been looked at."""
        self._index = index
        self._tell = changed
        self._give_way = give_way
        self._read_folder = read or partial(read_summary, root)
        self._ended = threading.Event()
        self._paths: dict[str, str] = {}
        """Of each run, as text: a `Path` takes several times the memory."""
        self._signatures: dict[str, str] = {}
        self._running: set[str] = set()
        self._expected: set[str] = set()
        self._above: dict[Path, int] = {}
        """When the folders that hold runs have changed."""
        self._next_walk = 0.0
        self._may_walk = 0.0

    def stop(self) -> None:
        """Ends the thread after its present look."""
        self._ended.set()

    def expect(self, runs: Iterable[str]) -> None:
        """Knows of runs that somebody else has put into the index; called from any thread."""
        self._expected |= set(runs)

    def forget(self, run: str) -> None:
        """Looks no more at a run whose folder was moved away; called from any thread."""
        self._paths = {one: path for one, path in self._paths.items() if one != run}

    def run(self) -> None:
        wait = 0.0
        while not self._ended.wait(wait):
            begin = time.monotonic()
            try:
                self.look()
            except Exception:  # one folder that can't be read is no reason to see no other
                log.exception("looking at %s", self.root)
            wait = max(LOOK_SECONDS, SHARE * (time.monotonic() - begin))

    def look(self) -> None:
        """Brings the index to what the folders hold now."""
        if self._index.is_deleted():
            self._index.renew()
            self._signatures.clear()
            self.complete.clear()
        begin = time.monotonic()
        if begin >= self._next_walk or (begin >= self._may_walk and self._holders_changed()):
            self._walk()
            taken = time.monotonic() - begin
            self._may_walk = time.monotonic() + SHARE * taken
            self._next_walk = time.monotonic() + max(WALK_SECONDS, SHARE * taken)
        self._read_changed()
        self.complete.set()

    def _walk(self) -> None:
        if not self._signatures:
            self._signatures = {run: known for run, (_, known) in self._index.signatures().items()}
            # They may have died while nobody looked, which leaves their files as they were.
            self._running = self._index.with_status(RUNNING)
        expected = frozenset(self._expected)  # those that come while this walk goes are not missed
        with kept_readings() as kept:
            paths = run_folders([self.root], kept, submitted=True)
        self._paths = {run_id(self.root, path): str(path) for path in paths}
        gone = (self._signatures.keys() | expected) - self._paths.keys()
        self._expected -= expected
        if gone:
            self._index.drop(gone)
            for run in gone:
                self._signatures.pop(run, None)
            self._tell(sorted(gone))
        holders = {self.root}
        for path in paths:
            holders.update(above for above in path.parents if above.is_relative_to(self.root))
        self._above = {holder: _changed_at(holder) for holder in holders}

    def _holders_changed(self) -> bool:
        """Whether runs may have come or gone, or a new one may be about to write its files."""
        fresh = time.time_ns() - int(FRESH_SECONDS * 1e9)
        return any(
            (at := _changed_at(holder)) != before or at > fresh
            for holder, before in self._above.items()
        )

    def _read_changed(self) -> None:
        changed = []
        for run, text in self._paths.items():
            path = Path(text)
            files = signature(path)
            if files != self._signatures.get(run) or self._has_ended(run, path):
                changed.append((run, path, files))
        for begin in range(0, len(changed), BATCH):
            if not self._ended.is_set():
                self._read(changed[begin : begin + BATCH])

    def _has_ended(self, run: str, path: Path) -> bool:
        """Whether a process has died, which leaves its files as they were."""
        return run in self._running and not Folder(path).owner()

    def _read(self, changed: Iterable[tuple[str, Path, str]]) -> None:
        entries = []
        for run, path, files in changed:
            self._give_way()
            summary, config = self._read_folder(path)
            entries.append(Entry(path, files, summary, config))
            self._signatures[run] = files
            (self._running.add if summary.status == "running" else self._running.discard)(run)
        self._index.put(entries)
        self._tell([entry.summary.id for entry in entries])


def _changed_at(folder: Path) -> int:
    with suppress(OSError):
        return folder.stat().st_mtime_ns
    return 0
