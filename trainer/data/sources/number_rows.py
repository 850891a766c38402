"""Rows of numbers as a table is read: in memory, or in a temporary file where they are too many."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..files import cache_folder
from ..on_disk import MEMORY_SHARE, available_memory

FLOAT64 = np.dtype(np.float64)


class NumberRows:
    """Rows of `columns` numbers each, added block by block.

    Beyond a quarter of the free memory they go to a file in the user's cache folder, which nobody
    else sees and which is gone with the process.
    """

    def __init__(self, path: str, file: Path, columns: int, dtype: np.dtype[Any] = FLOAT64) -> None:
        self._path = path
        self._file = file
        self._columns = columns
        self._dtype = dtype
        self._room = available_memory() // MEMORY_SHARE
        self._array = np.empty((0, columns), dtype)
        self._spilt: IO[bytes] | None = None
        self._rows = 0

    def append(self, rows: int, columns: Iterable[NDArray[Any]]) -> NDArray[Any]:
        """Adds so many rows, given by their columns, and returns them `[rows, columns]`.

        Raises:
            Refused: when neither memory nor disk has the room.
        """
        block = self._next(rows)
        for i, column in enumerate(columns):
            block[:, i] = column
        self._rows += rows
        if self._spilt is not None:
            self._write(self._spilt, block)
        return block

    def array(self) -> NDArray[Any]:
        """All rows `[n, columns]`: an array, or a memory map."""
        shape = (self._rows, self._columns)
        if self._spilt is not None:
            with self._spilt:  # the map keeps the file
                self._spilt.flush()
                return np.memmap(self._spilt, self._dtype, "r", shape=shape)
        self._array.resize(shape, refcheck=False)
        return self._array

    def _next(self, rows: int) -> NDArray[Any]:
        """Where the next rows go."""
        stop = self._rows + rows
        if self._spilt is None and stop > len(self._array):
            folder = cache_folder()
            if stop * self._columns * self._dtype.itemsize > self._room and folder is not None:
                self._spilt = TemporaryFile(dir=folder)  # noqa: SIM115  # until it is mapped
                self._write(self._spilt, self._array[: self._rows])
                self._array = np.empty((0, self._columns), self._dtype)
            else:
                # The system moves pages of so large an array, and copies nothing.
                length = max(stop, 3 * len(self._array) // 2)
                self._array.resize((length, self._columns), refcheck=False)
        if self._spilt is not None:
            return np.empty((rows, self._columns), self._dtype)
        return self._array[self._rows : stop]

    def _write(self, file: IO[bytes], block: NDArray[Any]) -> None:
        try:
            file.write(block.data)
        except OSError:
            rule = "holds more than the free memory of this machine, and than its cache folder has"
            hint = "XDG_CACHE_HOME=FOLDER names another one"
            raise refuse(self._path, str(self._file), rule, hint) from None
