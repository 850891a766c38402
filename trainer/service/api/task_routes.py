"""`/runs/ID/exports`, `/runs/ID/predictions` and `/tasks`: files made of a run, by processes."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import zipfile
from contextlib import suppress
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from schedules.declaration.plain_files import open_plain

from ..gate import UPLOADS
from ..jobs.tasks import PREDICTIONS, TASK_ID, State, made_files
from ..problems import ServiceError, one_problem
from ..running_service import RunningService
from .file_routes import saved_file
from .run_routes import RunId
from .submission_routes import disk_errors

TaskId = Annotated[str, Path(pattern=TASK_ID, description="the id of a task")]
BEGINNINGS = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"PAR1": ".parquet"}
"""The first bytes of files of arrays and columns, and what their names end with."""
MOST_ROWS = 1000
"""How many predictions an answer has at most; the file has all."""


class ExportRequest(BaseModel):
    """In which format to export the model of a run, and which of its weights."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Annotated[str, Field(pattern="^[a-z_]{1,30}$")]
    """`keras`, `saved_model` or `onnx`."""
    weights: Literal["final", "best", "ema"] | None = None
    """Those that the last evaluation looked at, if left out."""


class StartedTask(BaseModel):
    """A process that makes files."""

    task: str


class TaskState(BaseModel):
    """How far a task is, and what it has made."""

    task: str
    run: str
    kind: str
    state: State
    error: str
    files: list[dict[str, Any]]
    """Names and sizes; those of an export are files of the run."""
    rows: list[dict[str, str]]
    """The first predictions, by the headings of their table."""


def task_routes(service: RunningService) -> APIRouter:
    """The routes of exports, predictions, and what became of them."""
    router = APIRouter(tags=["tasks"])
    tasks = service.tasks

    @router.post("/runs/{run}/exports", status_code=202)
    def export(run: RunId, asked: ExportRequest) -> StartedTask:
        """Writes the model of a run to `export/` in its folder; `/tasks/TASK` tells of it."""
        service.queue.check_launching()
        weights = [f"export.weights={asked.weights}"] if asked.weights else []
        arguments = [str(service.path(run)), f"export={asked.format}", *weights,
                     *service.permissions.granted()]  # fmt: skip
        with disk_errors():
            return StartedTask(task=tasks.start(run, "export", arguments))

    @router.post(
        "/runs/{run}/predictions",
        status_code=202,
        openapi_extra={"requestBody": {"required": True, "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in UPLOADS}}},
    )  # fmt: skip
    async def predict(
        run: RunId,
        request: Request,
        weights: Annotated[Literal["final", "best", "ema"] | None, Query()] = None,
    ) -> StartedTask:
        """Has the network of a run say what it does of a table, an array or an image.

        The body is the file, its kind the `Content-Type`. It is kept in a folder that only the
        server's user may enter, and removed with the task's other files.
        """
        service.queue.check_launching()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in UPLOADS:
            raise ServiceError(415, f"Content-Type must be one of {', '.join(UPLOADS)}")
        content = await request.body()
        name = f"upload{UPLOADS[kind] or _end_of(content)}"
        chosen = ["--weights", weights] if weights else []
        files = ["--inputs", f"{{folder}}/{name}", "--output", f"{{folder}}/{PREDICTIONS}"]
        arguments = [str(service.path(run)), *service.permissions.granted(), *chosen, *files]
        with disk_errors():
            task = await asyncio.to_thread(tasks.start, run, "predict", arguments, (name, content))
        return StartedTask(task=task)

    @router.get("/tasks/{task}")
    def task_state(
        task: TaskId, rows: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 100
    ) -> TaskState:
        """How far a task is; why it failed; its files, and the first rows of predictions."""
        about, state, error = tasks.look(task)
        files: list[dict[str, Any]] = []
        table: list[dict[str, str]] = []
        if state == "done" and about.kind == "export":
            files = [{**file, "name": f"export/{file['name']}"}
                     for file in made_files(service.path(about.run) / "export")]  # fmt: skip
        elif state == "done":
            path = tasks.folder(task) / PREDICTIONS
            with suppress(OSError), open_plain(path, follow_links=False) as opened:
                files = [{"name": PREDICTIONS, "size": os.fstat(opened.fileno()).st_size}]
                lines = (line.decode() for line in opened)
                table = list(islice(csv.DictReader(lines), rows))
        return TaskState(task=task, run=about.run, kind=about.kind, state=state, error=error,
                         files=files, rows=table)  # fmt: skip

    @router.get("/tasks/{task}/files/{name}", response_class=StreamingResponse)
    def task_file(
        task: TaskId, name: Annotated[str, Path(pattern=f"^{PREDICTIONS}$")]
    ) -> StreamingResponse:
        """The table of all predictions, to be saved."""
        if tasks.look(task)[1] != "done":
            raise ServiceError(409, "the task has not made it")
        return saved_file(tasks.folder(task), name)

    return router


def _end_of(content: bytes) -> str:
    """What the name of a file of arrays or columns ends with, by its first bytes.

    Raises:
        ServiceError: a 422 where it is none.
    """
    for begin, end in BEGINNINGS.items():
        if content.startswith(begin):
            if end == ".npz" and not _holds_arrays(content):
                raise one_problem("body", None, "is a zip archive, but none of arrays (.npz)")
            return end
    raise one_problem("body", None, "is no .npy, .npz or .parquet file")


def _holds_arrays(content: bytes) -> bool:
    """Whether a zip archive is one that numpy has made: of arrays alone, one at least."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)
