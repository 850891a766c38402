"""Files that a crash leaves whole: the old one or the new one, or every line that was added."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

HELD = 64 * 2**20
"""The bytes of lines that are kept in memory while the disk refuses them."""


class WriteError(Exception):
    """More lines than memory should hold, and a disk that takes none."""


def write(path: Path, text: str) -> None:
    """Replaces a file by one rename, once all of the new one is on the disk.

    Raises:
        OSError: when the disk refuses; the old file is then as it was.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(path: Path) -> None:
    """Sees to it that what was made, renamed or removed in a folder stays so."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lines:
    """A file that only grows by lines. What the disk refuses is held and tried again.

    So a disk that is full for a while costs no line. Whether every line is on the disk is known
    after `sync`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _opened(path)
        self._held = bytearray()
        self._lock = Lock()

    def read(self, start: int = 0) -> bytes:
        """The whole lines from `start` on; a line that was torn by a kill is not among them."""
        length = os.fstat(self._descriptor).st_size - start
        content = os.pread(self._descriptor, max(length, 0), start)
        return content[: content.rfind(b"\n") + 1]

    def cut(self, position: int) -> None:
        """Removes everything after `position`.

        Raises:
            EOFError: when the file is shorter than that, so that lines are missing.
        """
        with self._lock:
            self._held.clear()
            if os.fstat(self._descriptor).st_size < position:
                raise EOFError(f"{self.path.name} is shorter than the {position} bytes it had")
            os.ftruncate(self._descriptor, position)

    def position(self) -> int:
        """Where the next line will begin."""
        with self._lock:
            return os.fstat(self._descriptor).st_size + len(self._held)

    def add(self, text: str) -> None:
        """Adds whole lines.

        Raises:
            Unwritten: when the disk has refused so many that no more are held.
        """
        with self._lock:
            self._held += text.encode()
            try:
                self._drain()
            except OSError as error:
                if len(self._held) > HELD:
                    raise WriteError(
                        f"{self.path} took no line for so long that {HELD >> 20} MiB of them "
                        f"wait in memory ({error.strerror}); training on would lose some"
                    ) from None

    def sync(self) -> None:
        """Puts every line on the disk, under this file's name.

        Raises:
            OSError: when the disk refuses, or the file's folder is gone; the lines are still held.
        """
        with self._lock:
            self._drain()
            self._reappear()
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def _drain(self) -> None:
        while self._held:  # a disk that is nearly full takes a part
            del self._held[: os.write(self._descriptor, self._held)]

    def _reappear(self) -> None:
        """Writes the file anew where its name leads elsewhere, since its folder was replaced."""
        here = os.fstat(self._descriptor)
        if self.path.exists() and os.path.samestat(self.path.stat(), here):
            return
        write(self.path, os.pread(self._descriptor, here.st_size, 0).decode())
        os.close(self._descriptor)
        self._descriptor = _opened(self.path)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


def objects(lines: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of as many lines; what a power cut made of the last ones is left out."""
    for line in lines.splitlines():
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                yield found
