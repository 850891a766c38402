"""Files that survive a crash: replaced as a whole, or extended line by line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from schedules.declaration.plain_files import json_value, open_descriptor

from .known_secrets import veil

MAX_HELD_BYTES = 64 * 2**20
"""The bytes of lines that are kept in memory while the disk refuses them."""
MAX_READ_BYTES = 256 * 2**20
"""The most bytes of lines that are read at a time."""


class WriteError(Exception):
    """The disk takes no lines, and more of them wait than memory should hold."""


def write(path: Path, text: str) -> None:
    """Replaces a file by a rename, once the whole new file is on the disk, without known secrets.

    Raises:
        OSError: when the disk refuses; the old file is then as it was.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # of a dead process that had the number, or a trap
    try:
        # "x" makes the file and follows no link.
        with draft.open("x", encoding="utf-8") as file:
            file.write(veil(text))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def remove_drafts(folder: Path) -> None:
    """Removes what `write` has begun in a folder and can't end, since its process is dead."""
    with suppress(OSError):
        for path in folder.iterdir():
            match = re.fullmatch(r"\..+\.[a-z]+\.(\d+)", path.name)
            if match and not process_lives(int(match[1])):
                with suppress(OSError):
                    path.unlink()


def process_lives(number: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def flush_folder(path: Path) -> None:
    """Puts on the disk what was made, renamed or removed in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lines:
    """A file to which lines are added. Lines that the disk refuses are held and written later.

    A disk that is full for a while therefore costs no line. After `sync` every line is on the disk.
    `check` is called before anything is written, and raises where this process no longer may.
    """

    def __init__(self, path: Path, check: Callable[[], None] = lambda: None) -> None:
        """Opens the file, or makes it.

        Raises:
            OSError: also when it is a link, or no file.
        """
        self.path = path
        self._check = check
        self._descriptor = _open(path)
        self._held = bytearray()
        self._lock = Lock()

    def read(self, start: int = 0) -> bytes:
        """The whole lines from byte `start` on, without a last line that a kill has torn.

        These are at most `MAX_READ_BYTES`.
        """
        length = os.fstat(self._descriptor).st_size - start
        content = os.pread(self._descriptor, min(max(length, 0), MAX_READ_BYTES), start)
        return content[: content.rfind(b"\n") + 1]

    def last(self, count: int, *, before: int) -> list[str]:
        """The last lines before a byte."""
        lines = os.pread(self._descriptor, before, 0).splitlines(keepends=True)
        return [line.decode() for line in lines[-count:]]

    def cut(self, position: int) -> None:
        """Removes everything after byte `position`.

        Raises:
            EOFError: when the file is shorter than that: lines are missing.
        """
        self._check()
        with self._lock:
            self._held.clear()
            if os.fstat(self._descriptor).st_size < position:
                raise EOFError(f"{self.path.name} is shorter than the {position} bytes it had")
            os.ftruncate(self._descriptor, position)

    def position(self) -> int:
        """The byte at which the next line will begin."""
        with self._lock:
            return os.fstat(self._descriptor).st_size + len(self._held)

    def add(self, text: str) -> None:
        """Adds whole lines.

        Raises:
            WriteError: when the disk refuses, and more than `MAX_HELD_BYTES` wait.
        """
        self._check()
        with self._lock:
            self._held += text.encode()
            try:
                self._write_held()
            except OSError as error:
                if len(self._held) > MAX_HELD_BYTES:
                    raise WriteError(
                        f"{self.path} took no line for so long that {MAX_HELD_BYTES >> 20} MiB "
                        f"of them wait in memory ({error.strerror}); training on would lose some"
                    ) from None

    def sync(self) -> None:
        """Puts every line on the disk, under the name of this file.

        Raises:
            OSError: when the disk refuses, or the folder is gone; the lines are still held.
        """
        self._check()
        with self._lock:
            self._write_held()
            self._restore_name()
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def _write_held(self) -> None:
        while self._held:  # a disk that is nearly full takes a part
            del self._held[: os.write(self._descriptor, self._held)]

    def _restore_name(self) -> None:
        """Writes the file anew where the path no longer leads to it: the folder was replaced."""
        status = os.fstat(self._descriptor)
        with suppress(FileNotFoundError):
            if os.path.samestat(self.path.lstat(), status):
                return
        write(self.path, os.pread(self._descriptor, status.st_size, 0).decode())
        os.close(self._descriptor)
        self._descriptor = _open(self.path)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    return open_descriptor(path, flags)


def json_objects(lines: bytes) -> Iterator[dict[str, Any]]:
    """The JSON object of each line, without lines that a power cut has spoilt."""
    for line in lines.splitlines():
        with suppress(ValueError):
            value = json_value(line)
            if isinstance(value, dict):
                yield value
