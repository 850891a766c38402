"""What a person may ask of a running job, as it is written, sent and put down in its record."""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from schedules.declaration import did_you_mean, refuse, within
from schedules.kinds.reactive import number

from .atomic_files import write

WORDS = ("stop", "checkpoint", "evaluate", "status")
LONGEST = 2**16
"""The bytes that a letter may have."""


class Order(NamedTuple):
    """One thing to do: hold a value, give it back to its schedule, or one of `WORDS`.

    >>> Order.parse("learning_rate=0.01")
    Order(verb='hold', name='learning_rate', value=0.01)
    >>> Order.parse("release=momentum")
    Order(verb='release', name='momentum', value=None)
    >>> Order.parse("release").name, Order.parse("stop").verb
    ('', 'stop')
    """

    verb: str
    name: str = ""
    value: float | None = None

    @classmethod
    def parse(cls, written: str) -> Order:
        """Reads an order as it is typed.

        Raises:
            Refused: when it is none.
        """
        word, given, value = written.partition("=")
        if word == "release":
            return cls("release", value)
        if not given:
            if word not in WORDS:
                hint = did_you_mean(word, (*WORDS, "release", "learning_rate=0.01"))
                raise refuse("order", word, "is no order", hint)
            return cls(word)
        with within(word):
            try:
                return cls("hold", word, number(float(value)))
            except ValueError:  # Refused is one
                raise refuse("", value, "must be a finite number", f"{word}=0.01") from None

    @property
    def steers(self) -> bool:
        """Whether updates depend on it, so that whoever repeats them must repeat it."""
        return self.verb in ("hold", "release")


class Letter(NamedTuple):
    """Orders that came together, in force from the same step on."""

    id: str
    orders: tuple[str, ...]


class Mail:
    """Letters to a running job and its answers: files that appear by renaming, in a folder of the
    run that only its owner can enter.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / "commands"

    def open(self) -> None:
        """Makes the folder, or makes it private, and empties it of old answers.

        Raises:
            Refused: when it is another user's, or no folder.
        """
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise refuse("hydra.run.dir", str(self.folder), "is not a folder of yours")
        self.folder.chmod(0o700)
        for old in self.folder.glob("*.answer"):
            old.unlink(missing_ok=True)

    def waiting(self) -> list[Letter]:
        """The letters that lie there, by the order of their sending."""
        try:
            names = sorted(name for name in os.listdir(self.folder) if name.endswith(".letter"))  # noqa: PTH208
        except OSError:  # the folder may be gone for a while
            return []
        return [letter for name in names if (letter := self._opened(self.folder / name))]

    def answer(self, letter: Letter, told: Mapping[str, Any]) -> None:
        """Answers a letter and takes it away."""
        with suppress(OSError):  # nobody waits where the folder is gone
            write(self.folder / f"{letter.id}.answer", json.dumps(told))
            (self.folder / f"{letter.id}.letter").unlink(missing_ok=True)

    def send(self, orders: Iterable[str]) -> Letter:
        """Leaves a letter for whoever trains in the run's folder."""
        letter = Letter(f"{time.time_ns()}-{secrets.token_hex(4)}", tuple(orders))
        write(self.folder / f"{letter.id}.letter", json.dumps(letter.orders))
        return letter

    def answered(self, letter: Letter, seconds: float) -> dict[str, Any] | None:
        """The answer, or None when it takes longer than that; the letter is then withdrawn."""
        path, until = self.folder / f"{letter.id}.answer", time.monotonic() + seconds
        while not path.exists():
            if time.monotonic() > until:
                (self.folder / f"{letter.id}.letter").unlink(missing_ok=True)
                return None
            time.sleep(0.02)
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        path.unlink(missing_ok=True)
        return told

    def _opened(self, path: Path) -> Letter | None:
        """What a file holds; what is no letter of ours is taken away."""
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


class Score:
    """What was ordered at which step, to be played again where those steps are made again.

    `rows` are events; only those that steer count. An order given after so many rewinds waits for
    as many.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = [row for row in rows if row["event"] == "command" and _steering(row)]

    def due(self, step: int, rewinds: int) -> list[Mapping[str, Any]]:
        """Takes out what is to be played before update `step`."""
        due = [row for row in self._rows if row["step"] <= step and row["rewinds"] <= rewinds]
        self._rows = [row for row in self._rows if row not in due]
        return due

    def next(self, step: int, rewinds: int, end: int) -> int:
        """The first step after `step` at which there is something to play."""
        later: list[int] = [row["step"] for row in self._rows if row["rewinds"] <= rewinds]
        return min([end, *(at for at in later if at > step)])


def _steering(row: Mapping[str, Any]) -> bool:
    return any(Order.parse(order).steers for order in row["orders"])
