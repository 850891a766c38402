"""Letters with orders to a running job, and the answers: files in a folder of the run."""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from schedules.declaration import refuse

from .atomic_files import write

LONGEST = 2**16
"""The most bytes of a letter."""


class Letter(NamedTuple):
    """Orders that were sent together and take effect at the same step."""

    id: str
    orders: tuple[str, ...]


class Mailbox:
    """Letters to a running job and the answers to them.

    Each is a file that appears by renaming, in a folder of the run that only its owner can enter.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / "commands"

    def open(self) -> None:
        """Makes the folder, makes it private, and removes old answers.

        Raises:
            Refused: when it is another user's, or no folder.
        """
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)
        status = self.folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise refuse("hydra.run.dir", str(self.folder), "is not a folder of yours")
        self.folder.chmod(0o700)
        for old in self.folder.glob("*.answer"):
            old.unlink(missing_ok=True)

    def waiting(self) -> list[Letter]:
        """The unanswered letters, in the order in which they were sent."""
        try:
            names = sorted(name for name in os.listdir(self.folder) if name.endswith(".letter"))  # noqa: PTH208
        except OSError:  # the folder may be gone for a while
            return []
        return [letter for name in names if (letter := self._read_letter(self.folder / name))]

    def answer(self, letter: Letter, content: Mapping[str, Any]) -> None:
        """Writes the answer to a letter and removes the letter."""
        with suppress(OSError):  # nobody waits where the folder is gone
            write(self.folder / f"{letter.id}.answer", json.dumps(content))
            (self.folder / f"{letter.id}.letter").unlink(missing_ok=True)

    def send(self, orders: Iterable[str]) -> Letter:
        """Writes a letter to the process that trains in the run's folder."""
        letter = Letter(f"{time.time_ns()}-{secrets.token_hex(4)}", tuple(orders))
        write(self.folder / f"{letter.id}.letter", json.dumps(letter.orders))
        return letter

    def wait_for_answer(self, letter: Letter, seconds: float) -> dict[str, Any] | None:
        """Waits for the answer; after `seconds` the letter is withdrawn and None is returned."""
        path, deadline = self.folder / f"{letter.id}.answer", time.monotonic() + seconds
        while not path.exists():
            if time.monotonic() > deadline:
                (self.folder / f"{letter.id}.letter").unlink(missing_ok=True)
                return None
            time.sleep(0.02)
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        path.unlink(missing_ok=True)
        return content

    def _read_letter(self, path: Path) -> Letter | None:
        """The letter in a file; a file that holds no letter is removed."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                orders = json.loads(file.read(LONGEST))
            if isinstance(orders, list) and all(isinstance(order, str) for order in orders):
                return Letter(path.stem, tuple(orders))
        except (OSError, ValueError):
            pass
        with suppress(OSError):
            path.unlink()
        return None
