"""Arrays that grow at their end, in memory or in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class MemoryArray:
    """Grows by doubling what it has reserved."""

    def __init__(self, dtype: Any) -> None:
        self._reserved: Array = np.empty(0, dtype)
        self._length = 0

    def append(self, values: Array) -> None:
        length = self._length + len(values)
        if length > len(self._reserved):
            grown = np.empty(max(length, 2 * len(self._reserved)), self._reserved.dtype)
            grown[: self._length] = self._reserved[: self._length]
            self._reserved = grown
        self._reserved[self._length : length] = values
        self._length = length

    def values(self) -> Array:
        return self._reserved[: self._length]

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return self._reserved.nbytes


class FileArray:
    """The same in a file, which is read where it lies."""

    def __init__(self, path: Path, dtype: Any, length: int = 0) -> None:
        """Begins after `length` values that the file has already.

        Raises:
            OSError: when it has fewer, or the disk refuses.
        """
        self._path, self._dtype, self._length = path, np.dtype(dtype), length
        if not length:  # another file in its place: who still reads the old one may go on
            path.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CLOEXEC | (0 if length else os.O_CREAT | os.O_EXCL)
        self._descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
        if os.fstat(self._descriptor).st_size < length * self._dtype.itemsize:
            raise OSError(f"{path} is too short")
        os.ftruncate(self._descriptor, length * self._dtype.itemsize)
        self._mapped: Array | None = None

    def append(self, values: Array) -> None:
        """Adds values.

        Raises:
            OSError: when the disk refuses.
        """
        content = memoryview(np.ascontiguousarray(values, self._dtype).tobytes())
        position = self._length * self._dtype.itemsize
        while content:
            written = os.pwrite(self._descriptor, content, position)
            content, position = content[written:], position + written
        self._length += len(values)

    def values(self) -> Array:
        if self._mapped is None or len(self._mapped) != self._length:
            self._mapped = (
                np.memmap(self._path, self._dtype, "r", shape=(self._length,))
                if self._length
                else np.empty(0, self._dtype)
            )
        return self._mapped

    @property
    def bytes(self) -> int:
        """None: what the system has of the file in memory, it takes back where others need it."""
        return 0

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
