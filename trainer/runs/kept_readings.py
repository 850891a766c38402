"""What was read from run folders, kept in the user's cache for as long as their files are the same.

A reading counts only if every file that it was taken from has the number, size and times that it
had before. What is missing or spoilt is read anew, which costs time and nothing else.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .user_cache import cache_folder

FILE = "readings-1.sqlite3"
"""The number in it is raised when something is read in another way than before."""
MAX_BYTES = 256 * 2**20
"""The bytes of readings that are kept, the newest ones."""
SETTLED_SECONDS = 2.0
"""How old a change must be for the next one to have another time, on every file system."""
WAIT_SECONDS = 1.0
"""How long a process waits for another one that is writing, before it goes without the cache."""

_TABLE = "CREATE TABLE IF NOT EXISTS readings (place TEXT PRIMARY KEY, signature TEXT, value TEXT)"
_DROP_OLD = (
    "DELETE FROM readings WHERE rowid IN (SELECT rowid FROM (SELECT rowid, SUM(LENGTH(value)) "
    "OVER (ORDER BY rowid DESC) AS bytes FROM readings) WHERE bytes > ?)"
)


@dataclass
class KeptReadings:
    """The readings of earlier processes, and the new ones of this process."""

    _database: sqlite3.Connection | None = None
    """None where nothing is kept."""
    _new: list[tuple[str, str, str]] = field(default_factory=list)

    def reading(self, purpose: str, folder: Path, names: Iterable[str]) -> Reading:
        """What `purpose` has read from the files `names` of a folder, or is about to read."""
        place = f"{purpose} {os.path.realpath(folder)}"
        files = [_signature(folder / name) for name in names]
        signature = json.dumps(files)
        value = None
        with suppress(sqlite3.Error, ValueError):
            if self._database:
                query = "SELECT value FROM readings WHERE place = ? AND signature = ?"
                if row := self._database.execute(query, (place, signature)).fetchone():
                    value = json.loads(row[0])
        settled = max((file[2] for file in files if file), default=0) / 1e9
        keeps = self._database is not None and settled < time.time() - SETTLED_SECONDS
        return Reading(
            value if isinstance(value, dict) else {},
            self._new if keeps else None,
            place,
            signature,
        )

    def save(self) -> None:
        """Keeps the new readings, where the disk and other processes allow."""
        if self._database and self._new:
            with suppress(sqlite3.Error), self._database:
                insert = "INSERT OR REPLACE INTO readings VALUES (?, ?, ?)"
                self._database.executemany(insert, self._new)
                self._database.execute(_DROP_OLD, (MAX_BYTES,))


@dataclass(frozen=True)
class Reading:
    """What was read from some files, as JSON has it."""

    value: Mapping[str, Any]
    """Empty where it has to be read."""
    _new: list[tuple[str, str, str]] | None
    _place: str
    _signature: str

    def keep(self, value: Mapping[str, Any]) -> None:
        """Keeps what was read; not if JSON can't hold it, or if a file was only just changed."""
        if self._new is not None:
            with suppress(TypeError, ValueError):
                text = json.dumps(value)
                if json.loads(text) == value:
                    self._new.append((self._place, self._signature, text))


@contextmanager
def kept_readings() -> Iterator[KeptReadings]:
    """The readings in the user's cache; at the end of the block the new ones are kept there."""
    database = _opened(cache_folder() / FILE)
    kept = KeptReadings(database)
    try:
        yield kept
        kept.save()
    finally:
        if database:
            database.close()


def _opened(file: Path) -> sqlite3.Connection | None:
    """The database in a file, made where there is none; None where that can't be."""
    database = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # it repeats what may be in folders that others can't read
        database = sqlite3.connect(file, timeout=WAIT_SECONDS)
        database.execute(_TABLE)
        database.execute("SELECT place, signature, value FROM readings LIMIT 1").fetchall()
        return database
    except (OSError, sqlite3.OperationalError):
        pass  # the disk or another process does not allow it
    except sqlite3.DatabaseError:  # spoilt: another one takes its place the next time
        with suppress(OSError):
            file.unlink()
    if database:
        database.close()
    return None


def _signature(file: Path) -> Sequence[int]:
    """What changes with a file: its number, its size and its times; empty where there is none."""
    try:
        status = file.lstat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
