"""The importance of a search's values, worked out by a process and remembered."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ..problems import ServiceError

SECONDS = 30.0
MOST_ANSWERS = 100
WAITING = 8
"""How many may wait for the one that is worked out."""

Key = tuple[Path, int, int, int]


class Importances:
    """What was worked out of journals, as long as they stay the same."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._answers: OrderedDict[Key, dict[str, Any]] = OrderedDict()
        self._waiting = 0

    async def of(self, journal: Path) -> dict[str, Any]:
        """The answer of the worker about a journal.

        Raises:
            ServiceError: when it takes too long or fails, or too many wait.
        """
        if self._waiting >= WAITING:
            raise ServiceError(503, "too many wait for the importance of values")
        self._waiting += 1
        try:
            async with self._turn:
                status = os.lstat(journal)
                key = (journal, status.st_ino, status.st_size, status.st_mtime_ns)
                if key not in self._answers:
                    self._answers[key] = await _worked_out(journal)
                    while len(self._answers) > MOST_ANSWERS:
                        self._answers.popitem(last=False)
                return self._answers[key]
        except OSError as error:
            raise ServiceError(404, f"the journal can't be read: {error.strerror}") from None
        finally:
            self._waiting -= 1


async def _worked_out(journal: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "trainer.service.comparison.importance_worker",
        str(journal),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        raise ServiceError(503, f"the importance took longer than {SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise ServiceError(500, "the importance failed; the server's log has more") from None
    return answer
