"""The whole of what is served: the API, its contract, and the page; behind the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from schedules import Refused

from ..answering import AnswersFirst
from ..exposure import Exposure
from ..gate import Gate
from ..problems import ServiceError, answer_error
from ..running_service import RunningService
from .compare_routes import compare_routes
from .contract import contract
from .design_routes import design_routes
from .event_routes import event_routes
from .file_routes import file_routes
from .known_parameters import known_parameters
from .order_routes import order_routes
from .page_files import PageFiles
from .queue_routes import queue_routes
from .row_routes import row_routes
from .run_routes import run_routes
from .server_routes import server_routes
from .submission_routes import submission_routes
from .task_routes import task_routes

PREFIX = "/api/v1"
PAGE = Path(__file__).resolve().parents[1] / "page"
DESCRIPTION = """\
Runs listed, watched and designed. Every answer that is an error is `application/problem+json`.
Send `Authorization: Bearer TOKEN`; the token is in `$XDG_STATE_HOME/scheduled-training/token`.
"""


def application(service: RunningService, exposure: Exposure) -> ASGIApp:
    """Serves a root, by the addresses under which it is reached."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="scheduled-training",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    for kind in (ServiceError, Refused, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer_error)
    api = APIRouter(prefix=PREFIX, dependencies=[Depends(known_parameters)])
    routers = (
        run_routes,
        row_routes,
        compare_routes,
        file_routes,
        order_routes,
        design_routes,
        event_routes,
        submission_routes,
        queue_routes,
        task_routes,
    )
    for routes in routers:
        api.include_router(routes(service))
    api.include_router(server_routes(service, exposure))
    app.include_router(api)
    app.router.default = PageFiles(PAGE)  # mounted it would answer for methods that the API has not
    generate = app.openapi
    app.openapi = lambda: contract(generate())  # type: ignore[method-assign]
    return Gate(AnswersFirst(app, service.answering), service.tokens, exposure)
