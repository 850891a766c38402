"""The summaries of all runs in SQLite: a cache, which may be deleted at any time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from ..json_values import jsonable
from .index_file import IN_MEMORY, VERSION, IndexFile
from .run_lists import Page, RunLists, RunQuery
from .summary import Summary, path_id


class Entry(NamedTuple):
    """A run as the index has it."""

    path: Path
    signature: str
    summary: Summary
    config: Mapping[str, Any]


class Index:
    """What is known of the runs below a root; any thread may ask."""

    def __init__(self, file: Path | str, name: str = "") -> None:
        self.name = name
        """A word that stands for the root."""
        self._descriptor: int | None = None
        """Holds the lock of the file."""
        self._file = IndexFile(file)
        self._lists = RunLists(self._file)

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

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._file.version

    def close(self) -> None:
        """Lets another server have the file."""
        self._file.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_deleted(self) -> bool:
        """Whether what was known is gone: the file is not there, is another one, or was spoilt."""
        return self._file.is_deleted()

    def renew(self) -> None:
        """Begins again, with nothing in it."""
        self._file.renew()

    def signatures(self) -> dict[str, tuple[str, str]]:
        """The path and the signature of every run, by its id."""
        found = self._file.rows("SELECT id, path, signature FROM runs")
        return {run: (os.fsdecode(path), signature) for run, path, signature in found}

    def with_status(self, statuses: Sequence[str]) -> set[str]:
        """The ids of the runs that had one of some statuses."""
        marks = ", ".join("?" * len(statuses))
        query = f"SELECT id FROM runs WHERE status IN ({marks})"
        return {run for (run,) in self._file.rows(query, statuses)}

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
        self._file.write(f"INSERT OR REPLACE INTO runs VALUES ({marks})", rows)

    def drop(self, runs: Iterable[str]) -> None:
        """Takes out runs whose folders are gone."""
        self._file.write("DELETE FROM runs WHERE id = ?", [(run,) for run in runs])

    def path(self, run: str) -> Path | None:
        """The folder of a run; None for an id that no run has."""
        found = self._file.rows("SELECT path FROM runs WHERE id = ?", (run,))
        return Path(os.fsdecode(found[0][0])) if found else None

    def config(self, run: str) -> dict[str, Any]:
        """The values of a run's config by their override paths."""
        found = self._file.rows("SELECT config FROM runs WHERE id = ?", (run,))
        return dict(json.loads(found[0][0])) if found else {}

    def summary(self, run: str) -> dict[str, Any] | None:
        """What the index has of a run."""
        found = self._file.rows("SELECT summary FROM runs WHERE id = ?", (run,))
        return dict(json.loads(found[0][0])) if found else None

    def summaries(self, runs: Sequence[str]) -> dict[str, str]:
        """The summaries of some runs as JSON, by id."""
        marks = ", ".join("?" * len(runs))
        return dict(self._file.rows(f"SELECT id, summary FROM runs WHERE id IN ({marks})", runs))

    def sweeps(self) -> list[dict[str, Any]]:
        """The sweeps, with how many runs of each status they have."""
        counts: dict[str, dict[str, int]] = {}
        query = "SELECT sweep, status, COUNT(*) FROM runs WHERE sweep != '' GROUP BY sweep, status"
        for sweep, status, count in self._file.rows(query):
            counts.setdefault(sweep, {})[status] = count
        return [{"id": path_id(name), "name": name, "statuses": statuses}
                for name, statuses in sorted(counts.items())]  # fmt: skip

    def page(
        self, query: RunQuery, after: str | None, limit: int, columns: Sequence[str] | None
    ) -> Page:
        """Runs behind the one with the id `after`; without `columns`, those that vary.

        Raises:
            Refused: for a run that is not in the list, or a column that nothing has.
        """
        return self._lists.page(query, after, limit, columns)


def _json(value: Any) -> str:
    return json.dumps(jsonable(value))
