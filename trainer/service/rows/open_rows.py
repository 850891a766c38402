"""The rows of the runs that somebody looks at, long ones read in background."""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .run_rows import NOTE, PIECE_BYTES, RunRows

AT_ONCE_BYTES = 2**22
"""What is read while somebody waits; more is read in background."""
MAX_BYTES = 96 * 2**20
"""The memory that the columns of short files may take together."""
MAX_OPEN = 128
"""More than are compared at once."""
MAX_KEPT_BYTES = 4 * 2**30
"""The bytes of columns that are kept in files; those that nobody asked for longest go first."""

log = logging.getLogger(__name__)


class OpenRows:
    """Gives the rows of a run by its id."""

    def __init__(
        self,
        kept: Path | None,
        complete: Callable[[str], None],
        give_way: Callable[[], None] = lambda: None,
    ) -> None:
        """`kept` is a folder for columns; `complete` is told when a run is read to its end.

        What is read in background calls `give_way` before each piece.
        """
        self._kept = kept
        self._tell = complete
        self._give_way = give_way
        self._open: OrderedDict[str, RunRows] = OrderedDict()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[str, RunRows] | None] = queue.SimpleQueue()
        self._queued: set[str] = set()
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read_queued, name="rows", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Ends the reading after its present piece."""
        self._ended.set()
        self._queue.put(None)
        self._reader.join()

    def of(self, run: str, path: Path) -> RunRows:
        """The rows of a run, read as far as before."""
        with self._lock:
            rows = self._open.get(run)
            if rows is None or rows.file.parent != path:
                kept = self._kept / run if self._kept else None
                rows = self._open[run] = RunRows(path / "metrics.jsonl", kept)
            self._open.move_to_end(run)
            self._close_oldest()
            return rows

    def read(self, run: str, rows: RunRows) -> bool:
        """Whether the rows are read to the end: at once if they are few, else in background.

        Raises:
            OSError: when the file can't be read.
        """
        if rows.missing() <= AT_ONCE_BYTES and run not in self._queued:
            return rows.advance(2 * AT_ONCE_BYTES)
        with self._lock:
            if run not in self._queued:
                self._queued.add(run)
                self._queue.put((run, rows))
        return False

    def _read_queued(self) -> None:
        while queued := self._queue.get():
            run, rows = queued
            try:
                self._give_way()
                while not self._ended.is_set() and not rows.advance(PIECE_BYTES):
                    self._give_way()
            except OSError as error:
                log.warning("reading the rows of %s: %s", run, error)
            with self._lock:
                self._queued.discard(run)
            if self._ended.is_set():
                return
            self._tell(run)
            self._drop_kept()

    def _close_oldest(self) -> None:
        while len(self._open) > 1 and (
            len(self._open) > MAX_OPEN
            or sum(rows.bytes for rows in self._open.values()) > MAX_BYTES
        ):
            self._open.popitem(last=False)

    def _drop_kept(self) -> None:
        """Removes the columns that nobody has asked for longest, where all are too large."""
        if self._kept is None:
            return
        sizes: list[tuple[float, int, Path]] = []
        with suppress(OSError):
            for folder in self._kept.iterdir():
                total = sum(file.stat().st_size for file in folder.iterdir())
                note = folder / NOTE
                changed = note.stat().st_mtime if note.exists() else 0.0
                sizes.append((changed, total, folder))
        total = sum(size for _, size, _ in sizes)
        for _, size, folder in sorted(sizes):
            if total <= MAX_KEPT_BYTES:
                break
            if folder.name not in self._open:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size
