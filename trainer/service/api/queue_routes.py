"""`/queue`, and what is done to runs by way of it: moved, stopped, started again, deleted."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from ...runs.folder import Folder
from ..jobs.deletion import delete
from ..problems import ServiceError
from ..running_service import RunningService
from .run_routes import RunId
from .submission_routes import Override, RunReference, Tag, disk_errors, planned_jobs

Core = Annotated[int, Field(ge=0, le=10_000)]
Gpu = Annotated[int | str, Field()]


class QueueChange(BaseModel):
    """What shall hold for the queue from now on, and after a restart of the server."""

    model_config = ConfigDict(extra="forbid", strict=True)

    paused: bool | None = None
    """Whether no further job starts; those that run go on."""
    at_once: Annotated[int | None, Field(ge=1, le=1000)] = None
    """How many jobs run at a time; null for as many as suit the machine."""
    cores: Annotated[list[Core] | None, Field(min_length=1, max_length=10_000)] = None
    """The processor cores that jobs run on; null for all."""
    gpus: Annotated[list[Gpu] | None, Field(max_length=1000)] = None
    """The GPUs that jobs run on; null for all."""


class RunChange(BaseModel):
    """What shall be other of a run in the queue."""

    model_config = ConfigDict(extra="forbid", strict=True)

    priority: Annotated[int | None, Field(ge=-1000, le=1000)] = None
    before: RunReference | None = None
    """The run before which it shall start; null for behind all others."""
    held: bool | None = None
    """Whether it stays in the queue until it is released."""
    name: Annotated[str | None, Field(max_length=200)] = None
    tags: Annotated[list[Tag] | None, Field(max_length=20)] = None


class StopRequest(BaseModel):
    """How to stop a job; each rung is followed by the next where it is not obeyed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    how: Literal["stop", "terminate", "kill"] = "stop"


class StartRequest(BaseModel):
    """What to add to the overrides of a run that is to go on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overrides: Annotated[list[Override], Field(max_length=1000)] = []


class Place(BaseModel):
    """A part of this machine, and the run that is on it."""

    cores: list[int]
    gpus: list[int | str]
    run: str | None


class QueueEntry(BaseModel):
    """A run that waits or runs."""

    id: str
    name: str
    state: str
    """`queued`, `held`, `lost`, `starting`, `running` or `stopping`."""
    why: str
    """Why it waits, or how it is being stopped."""
    priority: int
    attempt: int
    """How many processes were started for it."""
    submitted: float
    """In seconds since 1970."""
    overrides: list[str]
    sweep: str | None
    tags: list[str]
    engine: str


class QueueOverview(BaseModel):
    """What runs and what waits, and on what."""

    launching: bool
    """Whether this server starts jobs."""
    why: str
    """Why it does not."""
    paused: bool
    at_once: int
    cores: list[int]
    gpus: list[int | str]
    places: list[Place]
    """Those that are taken, and the free ones up to `at_once`."""
    entries: list[QueueEntry]
    """Those that run first, then the others in the order in which they will start."""


class RunState(BaseModel):
    """Where a run is now."""

    id: str
    state: str
    why: str = ""


class StoppedRuns(BaseModel):
    """The jobs of a sweep that were stopped."""

    runs: list[RunState]


def queue_routes(service: RunningService) -> APIRouter:
    """The routes of the queue."""
    router = APIRouter(tags=["queue"])
    queue = service.queue

    def state_of(run: str) -> RunState:
        state, why = queue.state(run, service.path(run))
        return RunState(id=run, state=state, why=why)

    @router.get("/queue", response_model=QueueOverview)
    def read_queue() -> Any:
        """What runs and what waits, in the order in which it will start, and on what.

        `launching` is false where this server starts no jobs, and `why` says why.
        """
        service.launcher.ready.wait(10)
        return queue.overview()

    @router.patch("/queue", response_model=QueueOverview)
    def change_queue(change: QueueChange) -> Any:
        """Pauses the queue, or changes how many jobs run at a time, and on what."""
        queue.check_launching()
        unknown = set(change.cores or ()) - set(queue.machine.cores)
        if unknown:
            raise ServiceError(422, f"this machine has no core {min(unknown)}")
        changes = change.model_dump(exclude_unset=True)
        if change.gpus is not None:
            changes["gpus"] = [str(gpu) for gpu in change.gpus]
        if changes.get("paused", False) is None:
            del changes["paused"]
        with disk_errors():
            queue.configure(**changes)
        return queue.overview()

    @router.patch("/runs/{run}")
    def change_run(run: RunId, change: RunChange) -> RunState:
        """Changes the place of a run in the queue, or what it is called."""
        queue.check_launching()
        path = service.path(run)
        changes = {name: value for name, value in change.model_dump(exclude_unset=True).items()
                   if value is not None}  # fmt: skip
        before = changes.pop("before", None)
        with disk_errors():
            if changes:
                queue.change(run, path, **changes)
            if "before" in change.model_fields_set:
                queue.place(run, path, before)
        return state_of(run)

    @router.post("/runs/{run}/stop")
    def stop_run(run: RunId, asked: StopRequest | None = None) -> RunState:
        """Stops a run; one that waits is taken out of the queue.

        `stop` is an order before the next update, `terminate` SIGTERM, and `kill` SIGKILL of all
        its processes; what is not obeyed in half a minute is followed by the next.
        """
        queue.check_launching()
        with disk_errors():
            state, why = queue.stop(run, service.path(run), asked.how if asked else "stop")
        return RunState(id=run, state=state, why=why)

    @router.post("/sweeps/{sweep}/stop")
    def stop_sweep(sweep: RunId, asked: StopRequest | None = None) -> StoppedRuns:
        """Stops every job of a sweep that waits or runs."""
        queue.check_launching()
        stopped = []
        with disk_errors():
            for entry in queue.of_sweep(sweep):
                state, why = queue.stop(entry.id, entry.path, asked.how if asked else "stop")
                stopped.append(RunState(id=entry.id, state=state, why=why))
        if not stopped:
            raise ServiceError(409, "no job of it waits or runs")
        return StoppedRuns(runs=stopped)

    @router.post("/runs/{run}/start")
    async def start_run(
        run: RunId, request: Request, asked: StartRequest | None = None
    ) -> RunState:
        """Puts a run that has ended or stopped into the queue again, to go on from where it was.

        `overrides` are added to its own: `run.length=…` makes it longer. A run that was not
        submitted goes on as its `config.yaml` says.
        """
        queue.check_launching()
        path = service.path(run)
        more = asked.overrides if asked else []
        await asyncio.to_thread(queue.check_startable, run, path, bool(more))
        own = queue.overrides_of(run, path)
        asked_for = {"overrides": more, "rerun": run} if own is None else {"overrides": own + more}
        planned = await planned_jobs(service, asked_for, path, request)
        if len(planned["jobs"]) != 1 or planned["sweep"]:
            raise ServiceError(422, "a run has one value of everything")
        [job] = planned["jobs"]
        changes = {"overrides": job["overrides"], "arguments": job["arguments"]}
        with disk_errors():
            await asyncio.to_thread(queue.restart, run, path, changes)
        return state_of(run)

    @router.delete("/runs/{run}")
    def delete_run(run: RunId) -> RunState:
        """Moves a run that nobody trains into the folder `.trash` of the root."""
        queue.check_launching()
        path = service.path(run)
        if Folder(path).owner():
            raise ServiceError(409, "it is being trained; stop it first")
        with disk_errors():
            delete(queue, run, path)
        service.watcher.forget(run)
        service.index.drop([run])
        service.hub.runs_changed([run])
        return RunState(id=run, state="deleted")

    return router
