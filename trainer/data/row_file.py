"""Files that hold the rows of one array, filled by one process and read by all."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from contextlib import suppress
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, Self
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from schedules.declaration.plain_files import open_descriptor

from ..runs.atomic_files import flush_folder

FINISHING = "finishing kept rows"
"""The name of the thread that waits for the disk."""
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK


class RowFile:
    """Rows `[n, ...]` in a file that is a plain `.npy` once all of them are there.

    Until then it is a draft: the array, a byte for each row that says whether it is there, and the
    boot of the machine in which it was begun. The process that holds the draft's lock fills it. If
    that is killed, the next one goes on with the rows that are there, since the system writes what
    a dead process has handed it. After a crash of the machine it may not have done so, and a draft
    of an earlier boot is begun anew. Once the last row is there a thread waits for the disk, which
    takes as long as to decode some hundred images, and nobody who reads.
    """

    def __init__(
        self, path: Path, descriptor: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        """Maps an open file whose array is of this shape and type."""
        self._descriptor: int | None = None
        """That of the draft, where this process fills it."""
        self._filling = threading.Lock()
        self.path = path
        self._head = _npy_header(shape, dtype)
        self._row_bytes = dtype.itemsize * prod(shape[1:])
        self._array_end = len(self._head) + shape[0] * self._row_bytes
        mapped = mmap.mmap(descriptor, self._array_end, prot=mmap.PROT_READ)
        self.rows: NDArray[Any] = np.frombuffer(
            mapped, dtype, prod(shape), len(self._head)
        ).reshape(shape)
        self.there: NDArray[np.bool_] = np.ones(shape[0], bool)
        """Which rows can be read."""

    @classmethod
    def whole(cls, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Self | None:
        """The file with all rows; None where there is none, or it holds something else."""
        try:
            descriptor = open_descriptor(path, os.O_RDONLY | _FLAGS)
        except OSError:
            return None
        try:
            head = _npy_header(shape, dtype)
            size = len(head) + dtype.itemsize * prod(shape)
            if os.fstat(descriptor).st_size != size or os.pread(descriptor, len(head), 0) != head:
                return None
            with suppress(PermissionError):
                os.utime(descriptor)  # the files that were used last are kept longest
            return cls(path, descriptor, shape, dtype)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    @classmethod
    def filled(cls, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Self | None:
        """The draft of the file, for this process to fill; None while another one does.

        Raises:
            OSError: when the disk refuses.
        """
        draft = draft_of(path)
        descriptor = open_descriptor(draft, os.O_RDWR | os.O_CREAT | _FLAGS)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), draft.lstat()):
                raise BlockingIOError  # another process has just ended or removed it
            there = _continued(descriptor, shape, dtype)
            file = cls(path, descriptor, shape, dtype)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, (BlockingIOError, FileNotFoundError)):
                return None
            raise
        file.there, file._descriptor = there, descriptor
        if there.all():
            file._finish()
        return file

    def put(self, row_index: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Writes some rows; on a disk that refuses, no more are kept."""
        with self._filling:
            if self._descriptor is None:
                return
            try:
                for row, values in zip(row_index.tolist(), rows, strict=True):
                    place = len(self._head) + row * self._row_bytes
                    _write(self._descriptor, np.ascontiguousarray(values).data.cast("B"), place)
                    _write(self._descriptor, b"\1", self._array_end + row)
            except OSError:
                self._give_up()
                return
            self.there[row_index] = True
            if self.there.all():
                self._finish()

    def _finish(self) -> None:
        """Has the draft, of which all rows are there, made the file."""
        descriptor, self._descriptor = self._descriptor, None
        assert descriptor is not None
        thread = threading.Thread(target=self._make_whole, args=[descriptor], name=FINISHING)
        try:
            thread.start()
        except RuntimeError:  # the process ends
            self._make_whole(descriptor)

    def _make_whole(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
            os.ftruncate(descriptor, self._array_end)
            draft_of(self.path).replace(self.path)
            flush_folder(self.path.parent)
        except OSError:
            with suppress(OSError):
                draft_of(self.path).unlink()
        _release(descriptor)

    def _give_up(self) -> None:
        """Keeps no more rows; those that are there can still be read."""
        with suppress(OSError):
            draft_of(self.path).unlink()
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _release(descriptor)

    def __del__(self) -> None:
        self._close()


_opened: WeakValueDictionary[Path, RowFile] = WeakValueDictionary()
_opening = threading.Lock()


def open_rows(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> RowFile | None:
    """The rows of a file, whole or to be filled; None while another process fills it.

    Raises:
        OSError: when the disk refuses.
    """
    with _opening:
        file = _opened.get(path) or RowFile.whole(path, shape, dtype)
        file = file or RowFile.filled(path, shape, dtype)
        if file is not None:
            _opened[path] = file
        return file


def _release(descriptor: int) -> None:
    """Closes a draft for whoever fills it next."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # the mapping has it open, too
    os.close(descriptor)


def draft_of(path: Path) -> Path:
    """Where a file is filled."""
    return path.with_suffix(".draft")


def size_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """The bytes that rows take, while they are a draft."""
    return _draft_size(len(_npy_header(shape, dtype)), shape, dtype)


def _draft_size(head: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return head + dtype.itemsize * prod(shape) + shape[0] + len(BOOT)


def _continued(descriptor: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Which rows of a draft are there; one that is not of this boot and array is begun anew."""
    head, count = _npy_header(shape, dtype), shape[0]
    size = _draft_size(len(head), shape, dtype)
    if os.fstat(descriptor).st_size == size and os.pread(descriptor, len(head), 0) == head:
        end = os.pread(descriptor, count + len(BOOT), size - count - len(BOOT))
        if end[count:] == BOOT:
            return np.frombuffer(end[:count], np.uint8).astype(bool)
    os.ftruncate(descriptor, 0)
    os.ftruncate(descriptor, size)
    _write(descriptor, head, 0)
    _write(descriptor, BOOT, size - len(BOOT))
    return np.zeros(count, bool)


def _write(descriptor: int, content: bytes | memoryview, place: int) -> None:
    """Writes all of it. A mapping would end the process where the disk is full."""
    while content:
        written = os.pwrite(descriptor, content, place)
        content, place = content[written:], place + written


def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """How a `.npy` of this array begins."""
    head = BytesIO()
    fields = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(head, fields)
    return head.getvalue()


def _boot() -> bytes:
    """What tells this boot of the machine from others, or this process where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:  # another system than Linux
        return str(uuid4()).encode()


BOOT = _boot()
