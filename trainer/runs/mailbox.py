"""Letters with orders to a running job, and the answers: files in a folder of the run."""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from schedules.declaration import refuse
from schedules.declaration.plain_files import json_value, read_plain

from .atomic_files import remove_drafts, write

LONGEST = 2**16
"""The most bytes of a letter."""
LONGEST_ANSWER = 2**20
SUFFIXES = (".letter", ".taken", ".answer")
POLL_SECONDS = 0.02
MOST_LETTERS = 100
"""How many letters are taken at a time; the others wait for the next time."""


class Letter(NamedTuple):
    """Orders that were sent together and take effect at the same step."""

    id: str
    orders: tuple[str, ...]
    orphaned: bool = False
    """Whether an earlier process had taken it, and died before it answered.

    Its content is not read again, since it may be what that process died of.
    """


class Mailbox:
    """Letters to a running job and the answers to them.

    Each is a file that appears by renaming, in a folder of the run that only its owner can enter.
    A letter is taken, by renaming it to `.taken`, before it is read.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / "commands"
        self._taken: set[str] = set()
        """The names of the letters that this process has taken and not answered."""

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
        remove_drafts(self.folder)
        for old in self.folder.glob("*.answer"):
            with suppress(OSError):
                old.unlink()

    def take(self) -> Iterator[Letter]:
        """Takes the letters that wait, one after the other, in the order in which they were sent.

        One that can't be read is answered here.
        """
        names: list[str] = []
        with suppress(OSError):  # the folder may be gone for a while
            names = sorted(os.listdir(self.folder))  # noqa: PTH208
        for name in [name for name in names if self._waits(name)][:MOST_LETTERS]:
            taken = (self.folder / name).with_suffix(".taken")
            self._taken.add(taken.name)
            if name == taken.name:
                yield Letter(taken.stem, (), orphaned=True)
                continue
            try:
                (self.folder / name).rename(taken)
            except OSError:  # withdrawn
                continue
            if letter := self._read_letter(taken):
                yield letter

    def answer(self, letter: Letter, content: Mapping[str, Any]) -> None:
        """Writes the answer to a letter and removes the letter."""
        with suppress(OSError):  # nobody waits where the folder is gone
            write(self.folder / f"{letter.id}.answer", json.dumps(content))
            (self.folder / f"{letter.id}.taken").unlink(missing_ok=True)
            self._taken.discard(f"{letter.id}.taken")

    def send(self, orders: Iterable[str], word: str = "") -> Letter:
        """Writes a letter to the process that trains in the run's folder.

        Its id ends with `word`, by which `find` knows it again, or else with one drawn at random.

        Raises:
            OSError: when the disk refuses.
            Refused: when the orders are too long for a letter.
        """
        letter = Letter(f"{time.time_ns()}-{word or secrets.token_hex(4)}", tuple(orders))
        content = json.dumps(letter.orders)
        if len(content) > LONGEST:
            rule = f"are longer than the {LONGEST >> 10} KiB of a letter"
            raise refuse("order", f"{len(letter.orders)} orders", rule, "send them one by one")
        write(self.folder / f"{letter.id}.letter", content)
        return letter

    def wait_for_answer(self, letter: Letter, seconds: float) -> dict[str, Any] | None:
        """Waits for the answer; after `seconds` the letter is withdrawn and None is returned.

        Raises:
            Refused: when what came is no answer.
        """
        deadline = time.monotonic() + seconds
        while (answer := self.read_answer(letter.id)) is None:
            if time.monotonic() > deadline:
                self.withdraw(letter.id)
                return None
            time.sleep(POLL_SECONDS)
        return answer

    def find(self, word: str) -> str | None:
        """The id of a letter that was sent with this word, and waits or is answered."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.stem.endswith(f"-{word}") and path.suffix in SUFFIXES:
                    return path.stem
        return None

    def withdraw(self, letter: str) -> None:
        """Takes a letter back that nobody has taken yet."""
        (self.folder / f"{letter}.letter").unlink(missing_ok=True)

    def read_answer(self, letter: str) -> dict[str, Any] | None:
        """The answer to the letter with an id, which is removed; None while there is none.

        Raises:
            Refused: when what came is no answer.
        """
        path = self.folder / f"{letter}.answer"
        if not path.exists():
            return None
        try:
            answer = json_value(read_plain(path, LONGEST_ANSWER, follow_links=False))
            path.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise refuse("RUN_DIR", str(path), f"is no answer: {error}") from None
        if not _is_answer(answer):
            raise refuse("RUN_DIR", str(path), "is no answer")
        return dict(answer)

    def _waits(self, name: str) -> bool:
        """Whether a file is a letter that this process has not taken yet."""
        return name.endswith(".letter") or (name.endswith(".taken") and name not in self._taken)

    def _read_letter(self, path: Path) -> Letter | None:
        """The letter in a file; None where it holds no letter, which is its answer then."""
        try:
            orders = json_value(read_plain(path, LONGEST, follow_links=False))
            if isinstance(orders, list) and all(isinstance(order, str) for order in orders):
                return Letter(path.stem, tuple(orders))
            why = "it must be a list of texts"
        except OSError as error:
            why = str(error.strerror)
        except ValueError as error:
            why = str(error)
        self.answer(Letter(path.stem, ()), {"refused": f"order: the letter can't be read: {why}"})
        return None


def _is_answer(answer: Any) -> bool:
    if not isinstance(answer, dict):
        return False
    lines = answer.get("told")
    carried_out = (
        type(answer.get("step")) is int
        and isinstance(lines, list)
        and all(isinstance(line, str) for line in lines)
    )
    return isinstance(answer.get("refused"), str) or carried_out
