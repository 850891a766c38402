"""The letters that were sent, found again by their ids or by the key of the request that sent them.

An answer is a file that is removed when it is read, so the last ones are remembered. What an
earlier server remembered, the record of the run's events tells.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from schedules import Refused

from ...runs.events import own_events
from ...runs.folder import Folder
from ...runs.mailbox import SUFFIXES, Mailbox

MOST_ANSWERS = 1000


class OrderBook:
    """What became of letters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[Path, str], dict[str, Any]] = OrderedDict()
        self._letters: OrderedDict[tuple[Path, str], str] = OrderedDict()
        """The ids of letters by the words at their end."""

    def known(self, folder: Folder, word: str) -> str | None:
        """The id of the letter that was sent with this word to a run; None for no word."""
        if not word:
            return None
        if found := self._letters.get((folder.path, word)):
            return found
        if found := Mailbox(folder.path).find(word):
            return found
        return next(
            (row["id"] for row in _commands(folder) if row["id"].endswith(f"-{word}")), None
        )

    def send(self, folder: Folder, orders: Sequence[str], word: str) -> str:
        """Sends a letter, unless one was sent with this word; gives its id.

        Raises:
            OSError: when the disk refuses.
            Refused: when the orders are too long for a letter.
        """
        with self._lock:
            if letter := self.known(folder, word):
                return letter
            letter = Mailbox(folder.path).send(orders, word).id
            if word:
                self._letters[folder.path, word] = letter
                while len(self._letters) > MOST_ANSWERS:
                    self._letters.popitem(last=False)
            return letter

    def has(self, folder: Folder, letter: str) -> bool:
        """Whether a letter was sent to a run."""
        files = (Mailbox(folder.path).folder / f"{letter}{suffix}" for suffix in SUFFIXES)
        return (
            (folder.path, letter) in self._answers
            or any(file.exists() for file in files)
            or any(row["id"] == letter for row in _commands(folder))
        )

    def answer(self, folder: Folder, letter: str) -> dict[str, Any] | None:
        """The answer to a letter; None while there is none.

        Raises:
            Refused: when what came is no answer.
        """
        with self._lock:
            if found := self._answers.get((folder.path, letter)):
                return found
            mailbox = Mailbox(folder.path)
            answer = mailbox.read_answer(letter)
            if answer is None and not self._waits(mailbox, letter):
                answer = mailbox.read_answer(letter) or _recorded(folder, letter)
            if answer is not None:
                self._answers[folder.path, letter] = answer
                while len(self._answers) > MOST_ANSWERS:
                    self._answers.popitem(last=False)
            return answer

    def withdraw(self, folder: Folder, letter: str) -> bool:
        """Takes a letter back; whether it was still there."""
        mailbox = Mailbox(folder.path)
        is_there = (mailbox.folder / f"{letter}.letter").exists()
        mailbox.withdraw(letter)
        return is_there

    @staticmethod
    def _waits(mailbox: Mailbox, letter: str) -> bool:
        return any((mailbox.folder / f"{letter}{suffix}").exists() for suffix in SUFFIXES)


def _recorded(folder: Folder, letter: str) -> dict[str, Any] | None:
    """What the run has recorded of a letter whose answer is gone."""
    for row in _commands(folder):
        if row["id"] == letter:
            return {"step": row["step"], "told": list(row["orders"])}
    return None


def _commands(folder: Folder) -> list[dict[str, Any]]:
    with suppress(Refused):
        return [row for row in own_events(folder.path) if row["event"] == "command"]
    return []
