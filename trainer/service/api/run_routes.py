"""`/runs`: the list, one run, its events, and what differs from another."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from schedules import Refused

from ...runs.events import own_events
from ...runs.folder import Folder
from ..json_values import jsonable
from ..listing.run_lists import RunQuery
from ..problems import ServiceError
from ..running_service import RunningService

RunId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="the id of a run")]
MAX_LIMIT = 10_000
MAX_COLUMNS = 100
MAX_TEXT = 200
MOST_EVENTS = 1000
"""How many events of a run are given, the newest."""


def run_routes(service: RunningService) -> APIRouter:
    """The routes that list runs and tell of one."""
    router = APIRouter(tags=["runs"])

    @router.get("/runs", response_class=Response)
    def list_runs(
        request: Request,
        state: Annotated[str, Query(max_length=MAX_TEXT, description="statuses, by commas")] = "",
        sweep: Annotated[str | None, Query(max_length=MAX_TEXT)] = None,
        q: Annotated[str, Query(max_length=MAX_TEXT, description="words to look for")] = "",
        sort: Annotated[
            str,
            Query(
                max_length=MAX_TEXT,
                description="name, status, steps, started, changed, "
                "metrics.NAME or a path of the config; with - before it, from the top down",
            ),
        ] = "-started",
        after: Annotated[str | None, Query(pattern="^[0-9a-f]{16}$")] = None,
        limit: Annotated[int, Query(ge=0, le=MAX_LIMIT)] = 1000,
        columns: Annotated[
            str | None,
            Query(max_length=4000, description="paths of the config; those that vary if left out"),
        ] = None,
    ) -> Response:
        """The runs below the root, with the values by which they differ.

        `values` of each run are those of `columns`, in their order. `complete` is false while
        folders are still being read for the first time. Ask again with `If-None-Match`.
        """
        tag = f'W/"{service.started}-{service.index.version}-{service.watcher.complete.is_set()}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache"})
        query = RunQuery(tuple(filter(None, state.split(","))), sweep, q, sort)
        asked = None if columns is None else list(filter(None, columns.split(",")))[:MAX_COLUMNS]
        page = service.index.page(query, after, limit, asked)
        runs = (f'{text[:-1]}, "values": {values}}}'
                for text, values in zip(page.runs, page.values, strict=True))  # fmt: skip
        complete = json.dumps(service.watcher.complete.is_set())
        body = (
            f'{{"total": {page.total}, "complete": {complete}, "version": {service.index.version}, '
            f'"columns": {json.dumps(page.columns)}, "runs": [{", ".join(runs)}]}}'
        )
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        return Response(body, media_type="application/json", headers=headers)

    @router.get("/runs/{run}")
    def one_run(run: RunId) -> dict[str, Any]:
        """A run: what the list has of it, its whole config by override paths, result and events."""
        path = service.path(run)
        folder, damage = Folder(path), []
        result: dict[str, Any] | None = None
        events: list[dict[str, Any]] = []
        try:
            result = folder.read_result()
        except Refused as refused:
            damage.append(str(refused))
        try:
            events = own_events(path)
        except Refused as refused:
            damage.append(str(refused))
        return {
            **(service.index.summary(run) or {}),
            "path": str(path),
            "config": service.index.config(run),
            "result": jsonable(result),
            "events": jsonable(events[-MOST_EVENTS:]),
            "owner": folder.owner(),
            "damage": damage,
        }

    @router.get("/runs/{run}/differences")
    def differences(
        run: RunId, other: Annotated[str, Query(pattern="^[0-9a-f]{16}$")]
    ) -> dict[str, Any]:
        """The override paths at which two runs have other values, with both values."""
        service.path(run), service.path(other)
        here, there = service.index.config(run), service.index.config(other)
        paths = [path for path in {**here, **there} if here.get(path) != there.get(path)]
        return {"differences": [{"path": path, "here": here.get(path), "there": there.get(path)}
                                for path in paths]}  # fmt: skip

    @router.get("/sweeps")
    def sweeps() -> dict[str, Any]:
        """The sweeps and searches, with how many of their runs have each status."""
        return {"sweeps": service.index.sweeps()}

    return router


def ids_of(text: str, most: int) -> list[str]:
    """The ids in a list with commas.

    Raises:
        ServiceError: a 422 where it is none, or too long.
    """
    ids = list(dict.fromkeys(filter(None, text.split(","))))
    if not ids or len(ids) > most or not all(re.fullmatch("[0-9a-f]{16}", run) for run in ids):
        raise ServiceError(422, f"runs must be 1 to {most} ids, by commas")
    return ids
