"""`/runs/ID/orders`: what a person may order of a running job, as by `trainer.control`."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from schedules.declaration import ABSENT, Problem

from ...runs.folder import Folder
from ...runs.mailbox import POLL_SECONDS, Mailbox
from ...runs.orders import Order
from ..problems import ServiceError, problem_member
from ..running_service import RunningService
from .order_book import OrderBook
from .run_routes import RunId

LOOK_SECONDS = 1.0
"""How often it is looked whether the process still runs that is to answer."""
DEFAULT_WAIT, MAX_WAIT = 10.0, 60.0

LetterId = Annotated[str, Path(pattern=r"^\d{1,20}-[0-9a-f]{8,64}$", description="a letter's id")]
WAITING: dict[int | str, dict[str, Any]] = {
    202: {"description": "a letter that waits", "content": {"application/json": {}}}
}
"""How the contract tells of the answer of a run that has not answered."""
Written = Annotated[str, Field(min_length=1, max_length=1000)]


class OrdersRequest(BaseModel):
    """Orders that take effect at the same step."""

    model_config = ConfigDict(extra="forbid", strict=True)

    orders: Annotated[list[Written], Field(min_length=1, max_length=100)]
    """As for `python -m trainer.control`: `learning_rate=0.01`, `release`, `stop` …"""
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT)] = DEFAULT_WAIT
    """How many seconds to wait for the answer."""


def order_routes(service: RunningService) -> APIRouter:
    """The routes of orders."""
    router = APIRouter(tags=["orders"])
    book = OrderBook()

    @router.post("/runs/{run}/orders", responses=WAITING)
    async def order(
        run: RunId,
        asked: OrdersRequest,
        idempotency_key: Annotated[str | None, Header(min_length=8, max_length=200)] = None,
    ) -> JSONResponse:
        """Has a running job do something before its next update.

        A 200 has the step before which it was done, and what came of each order. A 202 has the
        letter's id where the run has not answered in time: it still may; ask for the letter, or
        withdraw it by DELETE. A 409 says that nobody trains there. The same `Idempotency-Key` with
        the same orders asks once, however often it is sent.
        """
        for written in asked.orders:
            Order.parse(written)
        folder = Folder(service.path(run))
        mailbox = Mailbox(folder.path)
        word = _word(run, asked.orders, idempotency_key)
        deadline = time.monotonic() + asked.wait
        try:
            letter = await asyncio.to_thread(book.known, folder, word)
            if letter is None:
                await _until_open(folder, mailbox, deadline)
                letter = await asyncio.to_thread(book.send, folder, asked.orders, word)
            return await _answered(book, folder, letter, deadline)
        except PermissionError:
            raise ServiceError(403, "only the user whose run it is can steer it") from None
        except OSError as error:
            status = 507 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 409
            raise ServiceError(status, f"the letter can't be sent: {error.strerror}") from None

    @router.get("/runs/{run}/orders/{letter}", responses=WAITING)
    async def letter(run: RunId, letter: LetterId) -> JSONResponse:
        """The answer to a letter; a 202 while there is none."""
        folder = Folder(service.path(run))
        if not await asyncio.to_thread(book.has, folder, letter):
            raise ServiceError(404, "there is no such letter")
        return await _answered(book, folder, letter, time.monotonic())

    @router.delete("/runs/{run}/orders/{letter}")
    async def withdraw(run: RunId, letter: LetterId) -> JSONResponse:
        """Takes a letter back that the run has not taken yet."""
        folder = Folder(service.path(run))
        if not await asyncio.to_thread(book.withdraw, folder, letter):
            raise ServiceError(409, "the run has taken the letter, or there is none")
        return JSONResponse({"letter": letter, "state": "withdrawn"})

    return router


def _word(run: str, orders: list[str], key: str | None) -> str:
    """What the letter's id ends with, so that it is known again; "" without a key."""
    if key is None:
        return ""
    return sha256("\n".join([run, key, *orders]).encode()).hexdigest()[:32]


async def _until_open(folder: Folder, mailbox: Mailbox, deadline: float) -> None:
    """Waits until the run takes letters.

    Raises:
        ServiceError: a 409 where nobody trains, or the run is still starting.
    """
    _check_running(folder)
    while not mailbox.folder.exists():
        if time.monotonic() > deadline:
            raise ServiceError(409, "the run is starting and takes no orders yet")
        await asyncio.sleep(POLL_SECONDS)
        _check_running(folder)


def _check_running(folder: Folder) -> None:
    if not folder.owner():
        raise ServiceError(409, "nobody trains in this run", code="not_running")


async def _answered(book: OrderBook, folder: Folder, letter: str, deadline: float) -> JSONResponse:
    """The answer to a letter, or that it waits.

    Raises:
        ServiceError: a 422 for orders that the run refuses, a 409 where it has ended.
    """
    looked = time.monotonic()
    while (answer := await asyncio.to_thread(book.answer, folder, letter)) is None:
        now = time.monotonic()
        if now >= deadline:
            body = {"letter": letter, "state": "waiting"}
            return JSONResponse(body, 202, {"Retry-After": "1"})
        if now - looked > LOOK_SECONDS:
            looked = now
            if not folder.owner() and book.withdraw(folder, letter):
                raise ServiceError(
                    409, "the run ended before it took the orders", code="not_running"
                )
        await asyncio.sleep(POLL_SECONDS)
    return _told(letter, answer)


def _told(letter: str, answer: Mapping[str, Any]) -> JSONResponse:
    if refused := answer.get("refused"):
        raise ServiceError(422, str(refused), [problem_member(Problem("orders", ABSENT, refused))])
    return JSONResponse(
        {"letter": letter, "state": "obeyed", "step": answer["step"], "told": answer["told"]}
    )
