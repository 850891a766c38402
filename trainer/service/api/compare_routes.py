"""`/compare`: a hundred runs at most: what differs, their curves, and a report to save."""

from __future__ import annotations

import json
import pathlib
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response, StreamingResponse

from ...runs.kept_readings import kept_readings
from ...runs.report import report_html, sweep_csv
from ...runs.results import Run
from ...runs.study import JOURNAL
from ..comparison.curves import Line, line_of, lines_of_settings
from ..comparison.importance import Importances
from ..comparison.table import Listed, comparison, settings_of
from ..gate import safe_file_headers
from ..listing.run_lists import RunQuery
from ..problems import ServiceError
from ..running_service import RunningService
from .file_routes import saved_file
from .row_routes import From, To, read_rows
from .run_routes import MAX_TEXT, ids_of

MAX_COMPARED = 100
MOST_POINTS = 40_000
"""How many points of curves one answer has at most: about 800 kB."""
MAX_REPORT_BYTES = 2**28
"""The most bytes of rows that a report is made of while somebody waits."""

Runs = Annotated[
    str, Query(max_length=17 * MAX_COMPARED, description="ids, by commas; instead of a sweep")
]
WRITTEN = ("report.html", "sweep.csv")
"""What `-m`, or the queue, writes into the folder of a sweep at its end."""
Sweep = Annotated[str, Query(max_length=MAX_TEXT, description="the name of a sweep or search")]


def compare_routes(service: RunningService) -> APIRouter:
    """The routes that put runs beside each other."""
    router = APIRouter(tags=["compare"])
    importances = Importances()

    @router.get("/compare")
    def compare(runs: Runs = "", sweep: Sweep = "") -> dict[str, Any]:
        """The values of the configs that differ, beside the last values of the metrics.

        `settings` are runs that differ in their seed alone, with `mean`, `deviation` (of the
        sample), `lowest` and `highest`. Of a sweep of more than a hundred runs the first hundred
        by name are compared, and `total` tells how many there are; `gone` lists ids of no run,
        and `written` the files of a sweep that has ended, to be had of `/compare/written/NAME`.
        """
        listed, total, gone = _selected(service, runs, sweep)
        return {
            **comparison(listed),
            "total": total,
            "gone": gone,
            "search": _journal(listed) is not None,
            "written": [name for name in WRITTEN if sweep and _is_file(listed, name)],
        }

    @router.get("/compare/written/{name}", response_class=StreamingResponse)
    def written(
        name: Annotated[str, Path(pattern=r"^(report\.html|sweep\.csv)$")], sweep: Sweep
    ) -> StreamingResponse:
        """A file that is in the folder of a sweep since all of its jobs have ended, to be saved."""
        listed, _, _ = _selected(service, "", sweep)
        return saved_file(listed[0].path.parent, name)

    @router.get("/compare/rows", response_class=Response)
    def compared_rows(
        name: Annotated[str, Query(min_length=1, max_length=MAX_TEXT)],
        runs: Runs = "",
        sweep: Sweep = "",
        begin: From = None,
        to: To = None,
        points: Annotated[int, Query(ge=1, le=2000, description="of each run, at most")] = 500,
        smooth: Annotated[
            float | None, Query(ge=0, le=0.9999, description="the weight of what was before")
        ] = None,
        seeds: Annotated[
            Literal["apart", "mean"], Query(description="`mean`: one line for each setting")
        ] = "apart",
    ) -> Response:
        """One series of all of them: in buckets their means, or with `smooth` the running mean.

        All runs together have at most 40,000 points. With `seeds=mean` a line is the mean over the
        runs of a setting, with the lowest and the highest of them in `low` and `high`. `names` are
        the series that there are; `approximate` says that a long file is still being read.
        """
        listed, _, _ = _selected(service, runs, sweep)
        points = max(2, min(points, MOST_POINTS // max(1, len(listed))))
        lines: dict[str, Line] = {}
        names: dict[str, None] = {}
        is_exact = True
        for one in listed:
            run = one.summary["id"]
            opened = service.rows.of(run, one.path)
            try:
                read = read_rows(service.rows, run, opened, points, begin, to)
            except OSError:
                continue
            with read.lock:
                names.update({name: None for table in read.tables.values() for name in table.names})
                is_exact = is_exact and read.is_exact
                weight = smooth if read.is_whole else None
                if line := line_of(read.tables.values(), name, points, begin, to, weight):
                    lines[run] = line
        settings = [[one.summary["id"]] for one in listed]
        if seeds == "mean":
            ids = {one.path: one.summary["id"] for one in listed}
            settings = [[ids[run.path] for run in setting.runs] for setting in settings_of(listed)]
        body = {
            "name": name,
            "names": list(names),
            "points": points,
            "approximate": not is_exact,
            "lines": lines_of_settings(lines, settings),
        }
        return Response(json.dumps(body, allow_nan=False), media_type="application/json")

    @router.get("/compare/importance")
    async def importance(runs: Runs = "", sweep: Sweep = "") -> dict[str, Any]:
        """How much each value of a search mattered for its metric, from the largest share down.

        By PED-ANOVA over all `trials` of the search that have ended. `why` says why there is none.
        """
        listed, _, _ = _selected(service, runs, sweep)
        journal = _journal(listed)
        if journal is None:
            return {"trials": 0, "importance": [], "why": "these are not the trials of one search"}
        return await importances.of(journal)

    @router.get("/compare/report", response_class=Response)
    def report(
        runs: Runs = "",
        sweep: Sweep = "",
        kind: Annotated[Literal["html", "csv"], Query(alias="format")] = "html",
    ) -> Response:
        """The report of these runs as a file to save, as `python -m trainer.report` writes it."""
        listed, _, _ = _selected(service, runs, sweep)
        _check_size(listed)
        with kept_readings() as kept:
            found = [replace(Run.read(one.path, kept), config=one.config) for one in listed]
        make = {"html": report_html, "csv": sweep_csv}[kind]
        name = {"html": "report.html", "csv": "sweep.csv"}[kind]
        return Response(
            make(found, service.root),
            headers=dict(safe_file_headers(name)),
            media_type="application/octet-stream",
        )

    return router


def _selected(
    service: RunningService, runs: str, sweep: str
) -> tuple[list[Listed], int, list[str]]:
    """The runs that are asked for, how many the sweep has, and the ids that no run has.

    Raises:
        ServiceError: a 422 where they are too many or none, a 404 for a sweep that is not there.
    """
    if bool(runs) == bool(sweep):
        raise ServiceError(422, "name either runs, or a sweep")
    if sweep:
        query = RunQuery(sweep=sweep, sort="name")
        page = service.index.page(query, None, MAX_COMPARED, [])
        if not page.runs:
            raise ServiceError(404, f"no sweep has the name {sweep}")
        ids, total = [json.loads(text)["id"] for text in page.runs], page.total
    else:
        ids = ids_of(runs, MAX_COMPARED)
        total = len(ids)
    found = []
    for run in ids:
        path, summary = service.index.path(run), service.index.summary(run)
        if path and summary:
            found.append(Listed(path, summary, service.index.config(run)))
    known = {one.summary["id"] for one in found}
    return found, total, [run for run in ids if run not in known]


def _journal(listed: list[Listed]) -> pathlib.Path | None:
    """The journal of the search whose trials all of them are; None where they are not."""
    above = {one.path.parent for one in listed}
    if len(above) != 1:
        return None
    journal = above.pop() / JOURNAL
    return journal if journal.is_file() and not journal.is_symlink() else None


def _is_file(listed: list[Listed], name: str) -> bool:
    path = listed[0].path.parent / name
    return path.is_file() and not path.is_symlink()


def _check_size(listed: list[Listed]) -> None:
    sizes = ((one.path / "metrics.jsonl") for one in listed)
    total = sum(file.stat().st_size for file in sizes if file.is_file())
    if total > MAX_REPORT_BYTES:
        detail = (
            f"these runs have {total / 1e6:,.0f} MB of rows, and a report is made here of at most "
            f"{MAX_REPORT_BYTES / 1e6:,.0f} MB: python -m trainer.report FOLDER … takes any"
        )
        raise ServiceError(413, detail)
