"""The folder of each `Idempotency-Key`, found without a list of all that were ever submitted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...runs.run_folders import TRASH
from ..problems import ServiceError
from .submitting import SUBMITTED, Submitted

_WORD = re.compile(r"-([0-9a-f]{16})(.*)")


class _Listed(NamedTuple):
    """What a folder held when it was listed."""

    changed: int
    names: dict[str, str]
    """By the words of keys."""


class SubmittedFolders:
    """Lists a folder once, and again where somebody else has changed it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, _Listed] = {}

    def of(self, key: str) -> Path:
        """Where what is submitted with a key is, or shall be.

        Raises:
            ServiceError: a 409 where it was deleted since.
        """
        word = key[:16]
        above = self._root / SUBMITTED
        if name := self._names(above, is_whole=True).get(word):
            return above / name
        if word in self._names(self._root / TRASH / SUBMITTED, is_whole=False):
            raise ServiceError(
                409, "what was submitted with this Idempotency-Key was deleted since"
            )
        return above / f"{time.strftime('%Y-%m-%d')}-{word}"

    def make(self, folder: Path, make: Callable[[], Submitted]) -> Submitted:
        """Has a folder made, of which is known then that it is there."""
        above = folder.parent
        before = _changed_at(above)
        made = make()
        listed = self._listed.get(above)
        if listed and listed.changed == before and (found := _WORD.search(folder.name)):
            listed.names[found[1]] = folder.name
            self._listed[above] = _Listed(_changed_at(above), listed.names)
        return made

    def _names(self, above: Path, *, is_whole: bool) -> dict[str, str]:
        """The names in a folder by the words in them; with `is_whole` those that end with one."""
        changed = _changed_at(above)
        listed = self._listed.get(above)
        if listed is None or listed.changed != changed:
            names: dict[str, str] = {}
            with suppress(FileNotFoundError, NotADirectoryError):
                for path in above.iterdir():
                    found = _WORD.search(path.name)
                    if found and not (is_whole and found[2]):
                        names[found[1]] = path.name
            listed = self._listed[above] = _Listed(changed, names)
        return listed.names


def _changed_at(folder: Path) -> int:
    with suppress(OSError):
        return folder.stat().st_mtime_ns
    return 0
