"""`POST /runs`: something to be trained, a run, a sweep or a search, put into the queue."""

from __future__ import annotations

import asyncio
import errno
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from ..jobs import submitting
from ..jobs.submitted_folders import SubmittedFolders
from ..jobs.submitting import Submitted, hashed
from ..problems import ServiceError, one_problem
from ..run_references import with_folders
from ..running_service import RunningService

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
RunReference = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Text = Annotated[str, Field(max_length=2**18)]
Override = Annotated[str, Field(max_length=20_000)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]


class SubmissionRequest(BaseModel):
    """What to train, as a command line says it, and how it stands in the queue."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overrides: Annotated[list[Override], Field(max_length=1000)] = []
    """The overrides of a command line; several values of one make a sweep."""
    yaml: Text | None = None
    """A config that the overrides win over."""
    rerun: RunReference | None = None
    """The id of a run whose config is taken in the place of the default one."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    name: Annotated[str, Field(max_length=200)] = ""
    tags: Annotated[list[Tag], Field(max_length=20)] = []
    cores: Annotated[int | None, Field(ge=1, le=10_000)] = None
    """How many processor cores each job needs for itself; a fair share if left out."""
    gpus: Annotated[int | None, Field(ge=0, le=1000)] = None
    engine: Annotated[str, Field(pattern="^[a-z_]{1,30}$")] = "local"


class SubmittedRun(BaseModel):
    """A run that is in the queue."""

    id: str
    name: str
    state: str
    overrides: list[str]


class SubmittedRuns(BaseModel):
    """What a request has put into the queue; the same for ever for the same `Idempotency-Key`."""

    sweep: str | None
    """The id of the sweep that the runs are jobs of."""
    runs: list[SubmittedRun]
    link: str
    """Where the page shows it, from the page on."""


class PlannedRun(BaseModel):
    """A run that would be in the queue."""

    overrides: list[str]
    total_steps: int | None


class Planned(BaseModel):
    """What a request would put into the queue: the answer to `dry=1`."""

    sweep: bool
    search: bool
    runs: list[PlannedRun]
    command: str
    """What would train the same without a queue."""


def submission_routes(service: RunningService) -> APIRouter:
    """The route by which something is submitted."""
    router = APIRouter(tags=["queue"])
    making = asyncio.Lock()
    folders = SubmittedFolders(service.root)

    @router.post(
        "/runs", status_code=201, response_model=SubmittedRuns, responses={200: {"model": Planned}}
    )
    async def submit(
        asked: SubmissionRequest,
        request: Request,
        dry: Annotated[bool, Query()] = False,
        idempotency_key: Annotated[str | None, Header(min_length=8, max_length=200)] = None,
    ) -> Any:
        """Puts a run, a sweep or a search into the queue, all of it checked first.

        With `dry=1` a 200 tells what would be: `sweep`, `search`, the `runs` with `overrides` and
        `total_steps`, and the `command` that would train the same. The same `Idempotency-Key` with
        the same body gives the same runs for ever, and another body a 422. A 409 says why this
        server starts no jobs, a 507 that the disk is full.
        """
        queue = service.queue
        if asked.engine not in queue.engines:
            known = ", ".join(sorted(queue.engines))
            raise one_problem("engine", asked.engine, f"must be one of: {known}")
        if not dry:
            await asyncio.to_thread(service.launcher.ready.wait, 10)
            queue.check_launching()
        body = json.dumps(asked.model_dump(), sort_keys=True)
        key = idempotency_key or secrets.token_hex(16)
        details = submitting.Request(
            hashed(key), hashed(body), asked.name, asked.tags, asked.priority, asked.cores,
            asked.gpus, asked.engine, str(Path.cwd()),
        )  # fmt: skip
        folder = folders.of(details.key)
        if not dry and (before := submitting.found(service.root, folder, details)):
            return _answer(service, before)
        planned = await planned_jobs(service, asked.model_dump(), folder, request)
        if dry:
            return JSONResponse(_dry(planned))
        async with making:
            if before := submitting.found(service.root, folder, details):
                return _answer(service, before)
            with disk_errors():
                orders = queue.next_orders(len(planned["jobs"]))
                make = partial(submitting.make, service.root, folder, details, planned, orders)
                submitted = await asyncio.to_thread(folders.make, folder, make)
            await asyncio.to_thread(queue.add, submitted.runs)
        return _answer(service, submitted)

    return router


async def planned_jobs(
    service: RunningService, asked: Mapping[str, Any], folder: Path, request: Request
) -> dict[str, Any]:
    """The jobs of a request, checked by the worker.

    Raises:
        ServiceError: a 422 with the problems of all of them.
    """
    rerun = asked.get("rerun")
    submission = {
        "overrides": with_folders(asked.get("overrides") or [], service.index.path),
        "yaml": asked.get("yaml"),
        "rerun": str(service.path(rerun)) if rerun else None,
        "folder": str(folder),
    }
    answer = await service.checker.answer({"submission": submission}, request.is_disconnected)
    if problems := answer["problems"]:
        detail = "; ".join(f"{problem['path']}: {problem['rule']}" for problem in problems)
        raise ServiceError(422, detail, problems)
    return answer


@contextmanager
def disk_errors() -> Iterator[None]:
    """Answers what the disk refuses.

    Raises:
        ServiceError: a 507 where it is full, else a 409.
    """
    try:
        yield
    except OSError as error:
        status = 507 if error.errno in DISK_FULL else 409
        raise ServiceError(status, f"{error.filename or 'ROOT'}: {error.strerror}") from None


def _answer(service: RunningService, submitted: Submitted) -> SubmittedRuns:
    first = submitted.runs[0][1]
    runs = [
        SubmittedRun(
            id=submission.id,
            name=submission.name or path.relative_to(service.root).as_posix(),
            state=service.queue.state(submission.id, path)[0],
            overrides=submission.overrides,
        )
        for path, submission in submitted.runs
    ]
    where = submitted.folder.relative_to(service.root).as_posix()
    link = f"#/?sweep={where}" if submitted.is_sweep else f"#/run/{first.id}"
    return SubmittedRuns(sweep=first.sweep, runs=runs, link=link)


def _dry(planned: Mapping[str, Any]) -> dict[str, Any]:
    runs = [{"overrides": job["overrides"], "total_steps": job["total_steps"]}
            for job in planned["jobs"]]  # fmt: skip
    return {"sweep": planned["sweep"], "search": planned["search"], "runs": runs,
            "command": planned["command"]}  # fmt: skip
