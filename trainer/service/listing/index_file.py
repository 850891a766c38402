"""The SQLite file that an index is in: opened, made anew where it is spoilt or was deleted."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

VERSION = 3
"""Raised when something is kept in another way than before."""
IN_MEMORY = ":memory:"
SPOILT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""The errors of a file that is no database any more."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, path BLOB, signature TEXT, name TEXT, "
    "sweep TEXT, status TEXT, steps INTEGER, started REAL, changed REAL, summary TEXT, config TEXT)"
)


class IndexFile:
    """One connection for all threads, since no transaction takes longer than some milliseconds."""

    def __init__(self, file: Path | str) -> None:
        self._file = file
        self.lock = threading.RLock()
        self.version = 0
        """Grows with every change."""
        self._is_lost = False
        self._database = self._opened()

    def close(self) -> None:
        """Ends the connection."""
        with self.lock:
            self._database.close()

    def is_deleted(self) -> bool:
        """Whether what was known is gone: the file is not there, is another one, or was spoilt."""
        if self._is_lost or self._file == IN_MEMORY:
            return self._is_lost
        with suppress(OSError):
            return Path(self._file).stat().st_ino != self._inode
        return True

    def renew(self) -> None:
        """Begins again, with nothing in it."""
        with self.lock, suppress(sqlite3.Error):
            self._database.close()
        with self.lock:
            self._database = self._opened()
            self._is_lost = False
            self.version += 1

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """What a query finds; nothing in a file that turns out to be spoilt, which is made anew."""
        with self.lock:
            try:
                return self._database.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF not in SPOILT:
                    raise
                self._forget()  # the next look at the folders fills it again
                return self._database.execute(sql, values).fetchall()

    def write(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Makes one change for each of the rows, all of them or none."""
        with self.lock, self._database:
            self._database.executemany(sql, rows)
            self.version += 1

    def _forget(self) -> None:
        with suppress(sqlite3.Error):
            self._database.close()
        with suppress(OSError):
            Path(self._file).unlink()
        self._database = self._opened()
        self._is_lost = True
        self.version += 1

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected(self._file)
        except sqlite3.DatabaseError:
            with suppress(OSError):
                Path(self._file).unlink()
        try:
            return self._connected(self._file)
        except (OSError, sqlite3.Error):  # the disk does not allow it
            self._file = IN_MEMORY
            return self._connected(IN_MEMORY)

    def _connected(self, file: Path | str) -> sqlite3.Connection:
        if file != IN_MEMORY:
            Path(file).touch(mode=0o600)
        database = sqlite3.connect(file, check_same_thread=False, timeout=1)
        database.execute("PRAGMA synchronous = OFF")  # a power cut costs nothing but time
        database.execute("PRAGMA journal_mode = MEMORY")
        database.execute(_TABLE)
        database.execute("SELECT id, signature, summary, config FROM runs LIMIT 1").fetchall()
        database.commit()
        self._inode = 0 if file == IN_MEMORY else Path(file).stat().st_ino
        return database
