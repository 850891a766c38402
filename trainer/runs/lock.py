"""The lock of a folder's only writer: taken by it, seen by others, and checked before it writes."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from schedules.declaration.plain_files import open_descriptor

ALIVE_SECONDS = 600
"""For how long after its last word a process on another machine is taken to be at work.

Not every file system shows the locks of other machines.
"""
_SIGNS_OF_LIFE = (".lock", "metrics.jsonl", "events.jsonl", "checkpoints")
# `struct flock` as `fcntl.h` of macOS and of 64-bit Linux declares it.
_ORDER: tuple[str, ...] = ("l_type", "l_whence", "l_start", "l_len", "l_pid")
_LAYOUT = "hhqqi4x"
if sys.platform == "darwin":
    _ORDER = ("l_start", "l_len", "l_pid", "l_type", "l_whence")
    _LAYOUT = "qqihh"
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK


class LockLostError(Exception):
    """Another process may be writing to the folder, since the lock file is another one."""


class Lock:
    """The file `.lock` of a folder. It stays there; locked it is as long as its writer lives.

    The file names its writer: `process PID on HOST`, and in a second line since when.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._descriptor: int | None = None
        self._folder: os.stat_result | None = None
        """The folder in which the lock was taken."""
        self._checking = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps every other process out of the block.

        Raises:
            BlockingIOError: when another one is in it.
            OSError: when the file can't be made or locked, or is a link.
        """
        self._take(os.O_CREAT)
        try:
            yield
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = None

    def check(self) -> None:
        """Whether this process, where it holds the lock, is the folder's only writer still.

        Raises:
            LockLostError: when the locked file is no longer the one in the folder.
        """
        with self._checking:
            if self._descriptor is None or self.is_own() or self._taken_in_new_folder():
                return
        raise LockLostError(
            f"stopped, and nothing more is written: {self.path} was removed or replaced while "
            "this process held it, so another one may be training there\n"
            "  hint: the same command goes on from the newest checkpoint"
        )

    def is_own(self) -> bool:
        """Whether the file in the folder is the one that this process holds.

        So it is while the folder is gone, since nothing can be written there.
        """
        if self._descriptor is None:
            return False
        try:
            status = self.path.lstat()
        except OSError:
            return not self.path.parent.exists()
        return os.path.samestat(status, os.fstat(self._descriptor))

    def _take(self, creation: int) -> None:
        """Makes the file, or opens it as `creation` says, and locks it."""
        descriptor = open_descriptor(self.path, os.O_RDWR | creation | _FLAGS)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _make_visible(descriptor)
            self._folder = self.path.parent.stat()
            os.ftruncate(descriptor, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            writer = f"process {os.getpid()} on {socket.gethostname()}\nsince {since}\n"
            os.pwrite(descriptor, writer.encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def _taken_in_new_folder(self) -> bool:
        """Takes the lock anew in a folder that is another one than before, and has none.

        Nobody has been there then, since processes leave their lock file behind.
        """
        with suppress(OSError):
            assert self._folder
            if not os.path.samestat(self.path.parent.stat(), self._folder):
                self._take(os.O_CREAT | os.O_EXCL)
                return True
        return False

    def owner(self) -> str:
        """The process that holds the lock, as the file names it; "" where none does.

        Looking takes no lock, so that it is in nobody's way.
        """
        with suppress(OSError):
            descriptor = open_descriptor(self.path, os.O_RDONLY | _FLAGS)
            try:
                if _is_locked(descriptor):
                    return _text(descriptor) or "another process"
                return self._owner_elsewhere(_text(descriptor))
            finally:
                os.close(descriptor)
        return ""

    def _owner_elsewhere(self, writer: str) -> str:
        """The process on another machine that the file names, if it has left signs of life."""
        match = re.match(r"process \d+ on (\S+)", writer)
        if not match or match[1] == socket.gethostname():
            return ""
        times = []
        for name in _SIGNS_OF_LIFE:
            with suppress(OSError):
                times.append(self.path.with_name(name).lstat().st_mtime)
        with suppress(OSError):
            if self.path.with_name("result.json").lstat().st_mtime >= self.path.lstat().st_mtime:
                return ""
        return writer if max(times, default=0.0) > time.time() - ALIVE_SECONDS else ""


def _make_visible(descriptor: int) -> None:
    """Lets F_GETLK see the lock: on Linux that of `flock` is invisible to it, and on macOS not.

    A lock of the open file (OFD) is let go of like that of `flock`, by the last descriptor, and not
    by the first one that this process closes. See `man 2 fcntl_locking`.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a file system without such locks: others see less
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _whole_file())


def _is_locked(descriptor: int) -> bool:
    """Whether another open file holds a lock, which F_GETLK tells without taking one."""
    fields = struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, fcntl.F_GETLK, _whole_file()))
    return bool(fields[_ORDER.index("l_type")] != fcntl.F_UNLCK)


def _whole_file() -> bytes:
    """A `struct flock` for an exclusive lock of the whole file."""
    fields = {"l_type": fcntl.F_WRLCK, "l_whence": os.SEEK_SET}
    return struct.pack(_LAYOUT, *(fields.get(name, 0) for name in _ORDER))


def _text(descriptor: int) -> str:
    """What a lock file says, on one line and without anything that a terminal would obey."""
    words = os.pread(descriptor, 1000, 0).decode(errors="replace").split()
    return "".join(letter for letter in " ".join(words) if letter.isprintable())
