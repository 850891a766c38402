"""What a command has left on the disk, so that a refused one can take it back."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from schedules.declaration import Refused

from .folder import Folder

MOST_BYTES = 2**20
"""The largest file of which the content is remembered; of others, which only grow, the size."""


class Footprint:
    """What a folder held before a command, to be put back where that is refused.

    A run that has made updates is left as it is.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._progress = self._updates()
        self._before: dict[Path, bytes | int] = {}
        for path in folder.path.iterdir():
            size = path.lstat().st_size
            is_plain = path.is_file() and not path.is_symlink() and path.name != "metrics.jsonl"
            self._before[path] = path.read_bytes() if is_plain and size <= MOST_BYTES else size

    @contextmanager
    def undone_if_refused(self) -> Iterator[None]:
        """Puts everything back where the block is refused; called by the folder's only writer."""
        try:
            yield
        except Refused:
            if self._updates() == self._progress:
                self._undo()
            raise

    def _undo(self) -> None:
        for path in self._folder.path.iterdir():
            before = self._before.get(path)
            if before is None:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif isinstance(before, bytes):
                if path.read_bytes() != before:
                    path.write_bytes(before)
            elif path.is_file() and not path.is_symlink() and path.stat().st_size > before:
                os.truncate(path, before)
        for path, before in self._before.items():
            if isinstance(before, bytes) and not path.exists():
                path.write_bytes(before)

    def _updates(self) -> tuple[int, set[str]]:
        """What grows with every update, or every checkpoint."""
        return self._folder.rows_size(), {path.name for path in self._folder.checkpoints.glob("*")}


class MadeFolders:
    """The folders that this process has made, as Python reports it."""

    def __init__(self) -> None:
        self._paths: list[Path] = []
        sys.addaudithook(self._note)

    def holds(self, folder: Path) -> bool:
        """Whether the folder is one of them."""
        return folder.absolute() in self._paths

    def remove_empty(self) -> None:
        """Removes those that hold nothing, or nothing but others of them."""
        while self._paths:
            with suppress(OSError):  # it holds something, or was not made after all
                self._paths.pop().rmdir()

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "os.mkdir":
            return
        path = Path(os.fsdecode(arguments[0])).absolute()
        if not path.exists():
            self._paths.append(path)


@contextmanager
def removed_if_refused(path: Path) -> Iterator[None]:
    """Makes a folder, and those above it that are missing, for a block that may be refused."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except Refused:
        with suppress(OSError):  # something is in it
            for folder in missing:
                folder.rmdir()
        raise


@cache
def made_folders() -> MadeFolders:
    """Those from the first call on: an audit hook is there for good."""
    return MadeFolders()


def remove_made(path: Path) -> None:
    """Removes the folder of a refused run, if this process has made it and no other uses it."""
    folder = Folder(path)
    if not made_folders().holds(path) or not path.is_dir() or folder.has_updates():
        return
    with suppress(Refused), folder.locked():
        shutil.rmtree(path)
