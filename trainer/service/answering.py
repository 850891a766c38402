"""What is asked for now goes before what can wait: work in background pauses while it is answered.

Threads of Python take turns of 5 ms. A thread that reads a long file would take such a turn
whenever an answer reads from the disk, as a first chart does 2,000 times.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATIENCE_SECONDS = 0.5
"""What takes longer to answer than this is no reason to wait, nor does any one piece of work wait
longer: a submission is checked for minutes, and pages may ask without a pause."""


class Answering:
    """The requests that are being answered."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun: dict[object, float] = {}

    @contextmanager
    def one(self) -> Iterator[Callable[[], None]]:
        """A request is answered within the block, or until the function that it gives is called."""
        key = object()

        def end() -> None:
            with self._changed:
                if self._begun.pop(key, None) is not None and not self._begun:
                    self._changed.notify_all()

        with self._changed:
            self._begun[key] = time.monotonic()
        try:
            yield end
        finally:
            end()

    def give_way(self) -> None:
        """Waits until nothing is being answered; called between one piece of work and the next."""
        if not self._begun:
            return
        end = time.monotonic() + PATIENCE_SECONDS
        with self._changed:
            while self._begun:
                now = time.monotonic()
                last = max(self._begun.values()) + PATIENCE_SECONDS
                if (left := min(last, end) - now) <= 0:
                    return
                self._changed.wait(left)


class AnswersFirst:
    """An application whose answers count as being made, up to their first byte."""

    def __init__(self, app: ASGIApp, answering: Answering) -> None:
        self._app = app
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._answering.one() as end:

            async def send_and_end(message: Message) -> None:
                await send(message)
                end()

            await self._app(scope, receive, send_and_end)
