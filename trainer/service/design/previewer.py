"""The worker process that answers previews, as the server sees it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from ..permissions import Permissions
from ..problems import ServiceError

SECONDS = 20.0
"""How long a preview may take; the worker is ended then, and the next request starts another."""
IDLE_SECONDS = 600.0
"""After how long without a request the worker is ended, and its memory given back."""
MAX_ANSWER_BYTES = 2**25
KINDS = {"kinds": True}
"""The request for every kind of every group, instead of a preview."""
WAITING = 32
"""How many requests may wait for the one that is answered."""


class Previewer:
    """Hands one request after the other to the worker."""

    def __init__(self, permissions: Permissions, seconds: float | None = None) -> None:
        """`seconds` is how long an answer may take, if not `SECONDS`."""
        self._permissions = permissions
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._waiting = 0
        self._has_ended = False
        self._idle: asyncio.TimerHandle | None = None

    async def answer(
        self, asked: Mapping[str, Any], is_given_up: Callable[[], Awaitable[bool]]
    ) -> dict[str, Any]:
        """The answer to a request; one whose asker has gone while it waited is left out.

        Raises:
            ServiceError: when it takes too long, or too many wait.
        """
        if self._waiting >= WAITING:
            raise ServiceError(503, "too many previews wait; ask again in a moment")
        self._waiting += 1
        try:
            async with self._turn:
                if await is_given_up():
                    raise ServiceError(503, "given up")
                return await self._asked(asked)
        finally:
            self._waiting -= 1

    async def end(self) -> None:
        """Ends the worker for good, whoever still waits for an answer."""
        self._has_ended = True
        await self.close()  # whoever has the turn is answered then
        async with self._turn:
            await self.close()

    async def close(self) -> None:
        """Ends the worker; the next request starts another."""
        if self._idle:
            self._idle.cancel()
        process, self._process = self._process, None
        if process and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _asked(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        process = await self._running()
        seconds = SECONDS if self._seconds is None else self._seconds
        assert process.stdin
        assert process.stdout
        try:
            async with asyncio.timeout(seconds):
                process.stdin.write(json.dumps(asked).encode() + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
        except TimeoutError:
            await self.close()
            raise ServiceError(503, f"the preview took longer than {seconds:g} s") from None
        except (OSError, ValueError):  # ValueError: a line without an end
            line = b""
        except BaseException:  # cancelled: what comes next on the pipe is nobody's
            await self.close()
            raise
        if not line.endswith(b"\n"):
            await self.close()
            raise ServiceError(500, "the preview's process ended; the server's log has more")
        answer: dict[str, Any] = json.loads(line)
        if error := answer.get("error"):
            raise ServiceError(500, error)
        return answer

    async def _running(self) -> asyncio.subprocess.Process:
        self._check_not_ended()
        loop = asyncio.get_running_loop()
        if self._idle:
            self._idle.cancel()
        self._idle = loop.call_later(IDLE_SECONDS, lambda: loop.create_task(self._end_idle()))
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "trainer.service.design.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MAX_ANSWER_BYTES,
            )
            allowed = {
                "code": self._permissions.code,
                "folders": [str(folder) for folder in self._permissions.folders],
                "config_dir": self._permissions.config_dir,
                "trackers": self._permissions.trackers,
            }
            assert self._process.stdin
            self._process.stdin.write(json.dumps(allowed).encode() + b"\n")
            try:
                self._check_not_ended()  # it may have meanwhile
            except ServiceError:
                await self.close()
                raise
        return self._process

    def _check_not_ended(self) -> None:
        if self._has_ended:
            raise ServiceError(503, "the server ends")

    async def _end_idle(self) -> None:
        async with self._turn:
            await self.close()
