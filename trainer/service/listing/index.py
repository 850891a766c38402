"""The summaries of all runs in SQLite: a cache, which may be deleted at any time."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from schedules.declaration import did_you_mean, refuse

from ...runs.results import varied_among
from ..json_values import jsonable
from .summary import Summary, path_id

VERSION = 3
"""Raised when something is kept in another way than before."""
IN_MEMORY = ":memory:"
SPOILT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""The errors of a file that is no database any more."""
SORTS = {
    "name": "name",
    "status": "status",
    "steps": "steps",
    "started": "started",
    "changed": "changed",
}
"""The columns to sort by, besides metrics and values of the config."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, path BLOB, signature TEXT, name TEXT, "
    "sweep TEXT, status TEXT, steps INTEGER, started REAL, changed REAL, summary TEXT, config TEXT)"
)


class Entry(NamedTuple):
    """A run as the index has it."""

    path: Path
    signature: str
    summary: Summary
    config: Mapping[str, Any]


class Query(NamedTuple):
    """Which runs of the index, and in which order."""

    statuses: tuple[str, ...] = ()
    sweep: str | None = None
    text: str = ""
    """What must be in the name or among the values of the config."""
    sort: str = "-started"
    """A column, `metrics.NAME` or the path of a value in the config; with `-`, from above."""


class Page(NamedTuple):
    """Some runs of a list."""

    total: int
    columns: list[str]
    """The override paths of which each run has a value."""
    runs: list[str]
    """The summaries, as JSON."""
    values: list[str]
    """The values of each, as JSON lists."""


class Index:
    """One connection for all threads, since no transaction takes longer than some milliseconds."""

    def __init__(self, file: Path | str, name: str = "") -> None:
        self._file = file
        self.name = name
        """A word that stands for the root."""
        self._descriptor: int | None = None
        """Holds the lock of the file."""
        self._lock = threading.RLock()
        self._orders: dict[Query, list[str]] = {}
        self._columns: dict[Query, list[str]] = {}
        self.version = 0
        """Grows with every change."""
        self._is_lost = False
        self._database = self._opened()

    @classmethod
    def of(cls, root: Path, state: Path) -> Index:
        """The index of a root; one in memory where another server has the file."""
        name = sha256(os.fsencode(root)).hexdigest()[:16]
        with suppress(OSError):
            descriptor = os.open(state / f"index-{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
            else:
                index = cls(state / f"index-{VERSION}-{name}.sqlite3", name)
                index._descriptor = descriptor
                return index
        return cls(IN_MEMORY, name)

    @property
    def is_alone(self) -> bool:
        """Whether no other server keeps the index of this root."""
        return self._descriptor is not None

    def close(self) -> None:
        """Lets another server have the file."""
        with self._lock:
            self._database.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_deleted(self) -> bool:
        """Whether what was known is gone: the file is not there, is another one, or was spoilt."""
        if self._is_lost or self._file == IN_MEMORY:
            return self._is_lost
        with suppress(OSError):
            return Path(self._file).stat().st_ino != self._inode
        return True

    def renew(self) -> None:
        """Begins again, with nothing in it."""
        with self._lock, suppress(sqlite3.Error):
            self._database.close()
        with self._lock:
            self._database = self._opened()
            self._is_lost = False
            self._changed()

    def signatures(self) -> dict[str, tuple[str, str]]:
        """The path and the signature of every run, by its id."""
        query = "SELECT id, path, signature FROM runs"
        return {run: (os.fsdecode(path), signature) for run, path, signature in self._rows(query)}

    def with_status(self, statuses: Sequence[str]) -> set[str]:
        """The ids of the runs that had one of some statuses."""
        marks = ", ".join("?" * len(statuses))
        return {run for (run,) in self._rows(f"SELECT id FROM runs WHERE status IN ({marks})",
                                             statuses)}  # fmt: skip

    def paths_with_status(self, statuses: Sequence[str]) -> list[Path]:
        """The folders of the runs that had one of some statuses."""
        found = map(self.path, sorted(self.with_status(statuses)))
        return [path for path in found if path is not None]

    def put(self, entries: Iterable[Entry]) -> None:
        """Adds runs, or replaces what was known of them."""
        rows = [
            (s.id, os.fsencode(e.path), e.signature, s.name,
             s.group, s.status, s.steps, s.started, s.changed, s.text(), _json(e.config))
            for e in entries if (s := e.summary)
        ]  # fmt: skip
        marks = ", ".join("?" * 11)
        with self._lock, self._database:
            self._database.executemany(f"INSERT OR REPLACE INTO runs VALUES ({marks})", rows)
            self._changed()

    def drop(self, runs: Iterable[str]) -> None:
        """Takes out runs whose folders are gone."""
        with self._lock, self._database:
            self._database.executemany("DELETE FROM runs WHERE id = ?", [(run,) for run in runs])
            self._changed()

    def path(self, run: str) -> Path | None:
        """The folder of a run; None for an id that no run has."""
        found = self._rows("SELECT path FROM runs WHERE id = ?", (run,))
        return Path(os.fsdecode(found[0][0])) if found else None

    def config(self, run: str) -> dict[str, Any]:
        """The values of a run's config by their override paths."""
        found = self._rows("SELECT config FROM runs WHERE id = ?", (run,))
        return dict(json.loads(found[0][0])) if found else {}

    def summary(self, run: str) -> dict[str, Any] | None:
        """What the index has of a run."""
        found = self._rows("SELECT summary FROM runs WHERE id = ?", (run,))
        return dict(json.loads(found[0][0])) if found else None

    def summaries(self, runs: Sequence[str]) -> dict[str, str]:
        """The summaries of some runs as JSON, by id."""
        marks = ", ".join("?" * len(runs))
        return dict(self._rows(f"SELECT id, summary FROM runs WHERE id IN ({marks})", runs))

    def sweeps(self) -> list[dict[str, Any]]:
        """The sweeps, with how many runs of each status they have."""
        counts: dict[str, dict[str, int]] = {}
        query = "SELECT sweep, status, COUNT(*) FROM runs WHERE sweep != '' GROUP BY sweep, status"
        for sweep, status, count in self._rows(query):
            counts.setdefault(sweep, {})[status] = count
        return [{"id": path_id(name), "name": name, "statuses": statuses}
                for name, statuses in sorted(counts.items())]  # fmt: skip

    def page(
        self, query: Query, after: str | None, limit: int, columns: Sequence[str] | None
    ) -> Page:
        """Runs behind the one with the id `after`; without `columns`, those that vary.

        Raises:
            Refused: for a run that is not in the list, or a column that nothing has.
        """
        with self._lock:
            order = self._order(query)
            start = 0
            if after is not None:
                if after not in order:
                    raise refuse("after", after, "is no run of this list", "ask from the start")
                start = order.index(after) + 1
            ids = order[start : start + limit]
            shown = list(columns) if columns is not None else self._varied(query)
            texts: dict[str, tuple[str, str]] = {}
            value = ", ".join("?" for _ in shown)
            values = f"json_extract(config, {value})" if len(shown) > 1 else (
                f"json_array(json_extract(config, {value}))" if shown else "'[]'")  # fmt: skip
            for begin in range(0, len(ids), 500):
                part = ids[begin : begin + 500]
                marks = ", ".join("?" * len(part))
                sql = f"SELECT id, summary, {values} FROM runs WHERE id IN ({marks})"
                for run, text, found in self._rows(sql, [*map(_json_path, shown), *part]):
                    texts[run] = (text, found)
            known = [texts[run] for run in ids if run in texts]
            return Page(len(order), shown, [text for text, _ in known], [v for _, v in known])

    def _order(self, query: Query) -> list[str]:
        """The ids of a list, in its order."""
        if query not in self._orders:
            conditions, values = ["1"], list[Any]()
            if query.statuses:
                conditions.append(f"status IN ({', '.join('?' * len(query.statuses))})")
                values += query.statuses
            if query.sweep is not None:
                conditions.append("sweep = ?")
                values.append(query.sweep)
            for word in query.text.split():
                conditions.append("(INSTR(LOWER(name), ?) OR INSTR(LOWER(config), ?))")
                values += [word.lower()] * 2
            key, direction = query.sort.lstrip("-"), "DESC" if query.sort[:1] == "-" else "ASC"
            column, arguments = _sort_column(key)
            found = self._rows(
                f"SELECT id, {column} AS key FROM runs WHERE {' AND '.join(conditions)} "
                f"ORDER BY key IS NULL, key {direction}, name, id",
                [*arguments, *values],
            )
            if found and key not in SORTS and all(value is None for _, value in found):
                hint = did_you_mean(key, SORTS)
                raise refuse("sort", query.sort, "is nothing that a run of this list has", hint)
            if len(self._orders) > 100:
                self._orders.clear()
            self._orders[query] = [run for run, _ in found]
        return self._orders[query]

    def _varied(self, query: Query) -> list[str]:
        """The paths whose values differ among the runs of a list."""
        key = query._replace(sort="")
        if key not in self._columns:
            ids = self._order(query)
            found = self._rows("SELECT id, config FROM runs")
            wanted = set(ids)
            configs = [json.loads(config) for run, config in found if run in wanted]
            if len(self._columns) > 100:
                self._columns.clear()
            self._columns[key] = varied_among([config for config in configs if config])
        return self._columns[key]

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._database.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF not in SPOILT:
                    raise
                self._forget()  # the next look at the folders fills it again
                return self._database.execute(sql, values).fetchall()

    def _forget(self) -> None:
        with suppress(sqlite3.Error):
            self._database.close()
        with suppress(OSError):
            Path(self._file).unlink()
        self._database = self._opened()
        self._is_lost = True
        self._changed()

    def _changed(self) -> None:
        self.version += 1
        self._orders.clear()
        self._columns.clear()

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


def _sort_column(key: str) -> tuple[str, list[str]]:
    """The expression to sort by, and what it is asked with."""
    if key in SORTS:
        return SORTS[key], []
    if key.startswith("metrics."):
        return "json_extract(summary, ?)", [f"$.metrics{_member(key[8:])}.last"]
    return "json_extract(config, ?)", [_json_path(key)]


def _json_path(path: str) -> str:
    return f"${_member(path)}"


def _member(name: str) -> str:
    """A member of a JSON object, as SQLite's paths write it; there is no escape for a quote."""
    return '."' + name.replace('"', "").replace("\0", "") + '"'


def _json(value: Any) -> str:
    return json.dumps(jsonable(value))
