"""`/runs/ID/rows` and `/rows`: series in as few buckets as a screen can show, and what is new."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..events.tail import rows_member
from ..problems import ServiceError
from ..rows.cursor import Cursor
from ..rows.open_rows import OpenRows
from ..rows.rows_file import opened as opened_file
from ..rows.run_rows import RunRows
from ..rows.sampling import sampled
from ..rows.series import series_of
from ..rows.table import Table
from ..running_service import RunningService
from .run_routes import RunId, ids_of

DEFAULT_POINTS, MAX_POINTS = 2000, 20_000
MAX_STEP = 2**63 - 1
SINCE_BYTES = 2**20
"""The most bytes of rows that are given at once to who asks for new ones."""
MAX_COMPARED = 200
PLACES = 2000
"""At how many places an unread file is looked at."""

Names = Annotated[str | None, Query(max_length=4000, description="series, by commas; all if none")]
Points = Annotated[int, Query(ge=1, le=MAX_POINTS, description="at most so many buckets a series")]
From = Annotated[int | None, Query(alias="from", ge=0, le=MAX_STEP, description="the first step")]
To = Annotated[int | None, Query(ge=0, le=MAX_STEP, description="the step behind the last")]


def row_routes(service: RunningService) -> APIRouter:
    """The routes of rows."""
    router = APIRouter(tags=["rows"])

    @router.get("/runs/{run}/rows", response_class=Response)
    def rows(
        run: RunId,
        names: Names = None,
        begin: From = None,
        to: To = None,
        points: Points = DEFAULT_POINTS,
        smooth: Annotated[
            float | None, Query(ge=0, le=0.9999, description="the weight of what was before")
        ] = None,
        since: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Response:
        """The series of a run.

        Each is in buckets of `width` rows: their first step in `steps`, the last one in `until`,
        `min`, `max`, `mean` and `last` of the finite values. The first and the last row are in
        buckets of their own. Where the rows are few, `width` is 1, and `steps` and `last` are all.
        Numbers that are not finite are null, and listed in `not_finite` with their steps.

        With `smooth=0.9`, `smooth` of each bucket is the running mean at its last row, over all
        rows and not over those that are drawn, and corrected for its beginning.

        `approximate` says that the file is long and still being read: these are the rows at some
        places of it. The event `complete` of the topic `rows:ID` tells when to ask again.

        With `since=CURSOR`, the rows behind the place of an earlier answer, single ones; `more`
        says whether to ask on. A 409 says that the rows before it are no longer the same, as after
        a run was continued from a checkpoint: all must be asked for again.
        """
        path = service.path(run)
        if since is not None:
            return _json(_rows_since(service, path / "metrics.jsonl", names, since))
        opened = service.rows.of(run, path)
        try:
            return _json(_charted(service, run, opened, names, points, begin, to, smooth))
        except OSError as error:
            raise ServiceError(404, f"the rows can't be read: {error.strerror or error}") from None

    @router.get("/rows", response_class=Response)
    def compared(
        runs: Annotated[str, Query(max_length=17 * MAX_COMPARED)],
        names: Annotated[str, Query(min_length=1, max_length=1000)],
        points: Annotated[int, Query(ge=1, le=2000)] = 500,
    ) -> Response:
        """The same series of several runs, by their ids; a run that has none of them has `{}`."""
        found: dict[str, Any] = {}
        for run in ids_of(runs, MAX_COMPARED):
            try:
                opened = service.rows.of(run, service.path(run))
                read = read_rows(service.rows, run, opened, points, None, None)
                with read.lock:
                    found[run] = {
                        "approximate": not read.is_exact,
                        "series": series_of(read.tables, names.split(","), points),
                    }
            except OSError:
                found[run] = {"approximate": False, "series": {}}
        return _json({"runs": found})

    return router


def _charted(
    service: RunningService,
    run: str,
    opened: RunRows,
    names: str | None,
    points: int,
    begin: int | None,
    end: int | None,
    smooth: float | None,
) -> dict[str, Any]:
    tables, is_exact, is_whole, cursor, lock = read_rows(
        service.rows, run, opened, points, begin, end
    )
    with lock:
        there = [name for table in tables.values() for name in table.names]
        # What is not among the rows at some places may be among the others.
        wanted = service.known_names(names, there) if is_exact or not names else names.split(",")
        return {
            "run": run,
            "approximate": not is_exact,
            "names": there,
            "cursor": str(cursor),
            "rows": {kind: table.rows for kind, table in tables.items()} if is_exact else None,
            "series": series_of(tables, wanted, points, begin, end, smooth if is_whole else None),
        }


class ReadRows(NamedTuple):
    """Rows of a run as far as they were read."""

    tables: dict[str, Table]
    is_exact: bool
    """Whether no row of those that were asked for is missing."""
    is_whole: bool
    """Whether these are all rows of the file."""
    cursor: Cursor
    """Up to where the file was read."""
    lock: AbstractContextManager[object]
    """Held while the tables are used: none for those that nobody else has."""


def read_rows(
    rows: OpenRows, run: str, opened: RunRows, points: int, begin: int | None, end: int | None
) -> ReadRows:
    """The rows of a run; of a long file that is still being read those at some places of it.

    Raises:
        OSError: when the file can't be read.
    """
    if rows.read(run, opened):
        return ReadRows(opened.tables, True, True, opened.cursor, opened.lock)
    with opened_file(opened.file) as (descriptor, size):
        tables, is_whole = sampled(descriptor, size, max(2, min(points, PLACES) - 4), begin, end)
        end_of_lines = _last_line_end(descriptor, size)
        cursor = Cursor.at(descriptor, end_of_lines)
        return ReadRows(tables, is_whole and begin is not None, False, cursor, nullcontext())


def _last_line_end(descriptor: int, size: int) -> int:
    begin = max(0, size - 2**16)
    return begin + os.pread(descriptor, size - begin, begin).rfind(b"\n") + 1


def _rows_since(
    service: RunningService, file: Any, names: str | None, since: str
) -> dict[str, Any]:
    """The rows behind a cursor.

    Raises:
        ServiceError: a 422 where it is none, a 409 where the file was cut.
    """
    try:
        cursor = Cursor.parse(since)
    except ValueError:
        raise ServiceError(422, "since is no cursor of an earlier answer") from None
    try:
        with opened_file(file) as (descriptor, _):
            if not cursor.holds(descriptor):
                raise ServiceError(
                    409, "the rows were cut back since then: ask for all", code="cut"
                )
            content = os.pread(descriptor, SINCE_BYTES, cursor.offset)
            lines = content[: content.rfind(b"\n") + 1]
            now = Cursor.at(descriptor, cursor.offset + len(lines))
            more = len(content) == SINCE_BYTES and bool(lines)
    except OSError:
        if cursor.offset:
            raise ServiceError(409, "there are no rows any more: ask for all", code="cut") from None
        lines, now, more = b"", cursor, False
    series = rows_member(lines, SINCE_BYTES)
    wanted = names.split(",") if names else list(series)
    return {
        "cursor": str(now),
        "more": more,
        "series": {name: series[name] for name in wanted if name in series},
    }


def _json(body: Any) -> Response:
    return Response(json.dumps(body, allow_nan=False), media_type="application/json")
