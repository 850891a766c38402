"""`/events`: one stream for a page, and with it all that changes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

from ..events.stream import Stream
from ..rows.parsing import import_ahead
from ..running_service import RunningService


def event_routes(service: RunningService) -> APIRouter:
    """The route of the stream."""
    router = APIRouter(tags=["events"])

    @router.get("/events", response_class=StreamingResponse)
    async def events(
        topics: Annotated[
            str,
            Query(max_length=16_000, description="by commas: runs, queue, run:ID, rows:ID@CURSOR"),
        ] = "runs",
        last_event_id: Annotated[str, Header(max_length=16_000)] = "",
    ) -> StreamingResponse:
        """Server-sent events.

        `open` comes first. `runs` has the summaries of runs that have changed. `queue` says that
        the queue has changed. `rows` has the rows behind the place `from` of a file, in buckets as
        `/runs/ID/rows` gives them. `resync` says that a run's rows must be asked for anew, as they
        were cut back or too many were missed. `complete` says that a long file is read to its end,
        `gone` that no run has the id. A stream that breaks goes on with `Last-Event-ID`.
        """
        import_ahead()
        stream = Stream(service.hub, service.news, topics, last_event_id)
        headers = {"X-Accel-Buffering": "no"}  # a proxy shall pass on what comes
        return StreamingResponse(
            stream.events(),
            headers=headers,
            media_type="text/event-stream",
            background=BackgroundTask(stream.close),
        )

    return router
