"""Lists of the runs in an index: which of them, in which order, and the values that vary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from schedules.declaration import did_you_mean, refuse

from ...runs.results import varied_among
from .index_file import IndexFile

SORTS = {
    "name": "name",
    "status": "status",
    "steps": "steps",
    "started": "started",
    "changed": "changed",
}
"""The columns to sort by, besides metrics and values of the config."""


class RunQuery(NamedTuple):
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


class RunLists:
    """The lists of one index, each kept until something changes."""

    def __init__(self, file: IndexFile) -> None:
        self._file = file
        self._version = -1
        """That of the file when the lists were made."""
        self._orders: dict[RunQuery, list[str]] = {}
        self._columns: dict[RunQuery, list[str]] = {}

    def page(
        self, query: RunQuery, after: str | None, limit: int, columns: Sequence[str] | None
    ) -> Page:
        """Runs behind the one with the id `after`; without `columns`, those that vary.

        Raises:
            Refused: for a run that is not in the list, or a column that nothing has.
        """
        with self._file.lock:
            self._forget_old()
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
                for run, text, found in self._file.rows(sql, [*map(_json_path, shown), *part]):
                    texts[run] = (text, found)
            known = [texts[run] for run in ids if run in texts]
            return Page(len(order), shown, [text for text, _ in known], [v for _, v in known])

    def _forget_old(self) -> None:
        if self._version != self._file.version:
            self._version = self._file.version
            self._orders.clear()
            self._columns.clear()

    def _order(self, query: RunQuery) -> list[str]:
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
            found = self._file.rows(
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

    def _varied(self, query: RunQuery) -> list[str]:
        """The paths whose values differ among the runs of a list."""
        key = query._replace(sort="")
        if key not in self._columns:
            ids = self._order(query)
            found = self._file.rows("SELECT id, config FROM runs")
            wanted = set(ids)
            configs = [json.loads(config) for run, config in found if run in wanted]
            if len(self._columns) > 100:
                self._columns.clear()
            self._columns[key] = varied_among([config for config in configs if config])
        return self._columns[key]


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
