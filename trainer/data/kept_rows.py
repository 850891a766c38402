"""Rows that take long to make, made once and kept in a file for later epochs and runs."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration.plain_files import open_descriptor

from .inputs import Inputs, Key
from .row_file import RowFile, draft_of, open_rows, size_of

MADE_AT_ONCE = 512
"""After how many rows what was made is handed to the disk, so that a kill loses no more."""
_NAME = re.compile(r"images-[0-9a-f]{32}\.(npy|draft)")


class _Kept(NamedTuple):
    """A file of kept rows."""

    used: float
    """When it was last used."""
    path: Path
    size: int
    """The bytes that it takes once it is whole."""
    taken: int
    """The bytes of the disk that it takes now."""


class Place(NamedTuple):
    """A folder in which rows are kept, and how much of its disk they may take."""

    folder: Path
    share: float
    """The share of what is free, and of what is taken by other kept rows."""

    def file(self, fingerprint: str) -> Path:
        """The file for rows of a fingerprint."""
        return self.folder / f"images-{fingerprint[:32]}.npy"

    def allowance(self) -> int:
        """The bytes that all kept rows may take together."""
        free = disk_usage(self.folder).free
        return int(self.share * (free + sum(kept.taken for kept in self._kept())))

    def make_room(self, file: Path, size: int) -> bool:
        """Removes the rows that were used longest ago, where new ones have no room beside them.

        Returns whether they have it now.
        """
        others = [kept for kept in sorted(self._kept()) if kept.path.stem != file.stem]
        allowance, total = self.allowance(), sum(kept.size for kept in others)
        for kept in others:
            if total + size <= allowance:
                break
            if kept.path.suffix != ".draft" or not _is_filled(kept.path):
                with suppress(OSError):
                    kept.path.unlink()
                    total -= kept.size
        return total + size <= allowance

    def _kept(self) -> list[_Kept]:
        kept = []
        for entry in os.scandir(self.folder):
            if _NAME.fullmatch(entry.name):
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    taken = 512 * status.st_blocks
                    kept.append(_Kept(status.st_mtime, Path(entry.path), status.st_size, taken))
        return kept


class KeptRows:
    """Inputs `[n, ...]` that are made when they are first read, and then read from a file.

    One process fills the file, and others make what they read until it is whole. Where the disk
    takes no more, what is read is made. The values are the same whichever way.
    """

    def __init__(self, inputs: Inputs, place: Place, fingerprint: str) -> None:
        self.inputs = inputs
        self.shape = inputs.shape
        self.dtype = inputs.dtype
        self._place = place
        self._path = place.file(fingerprint)
        self._file: RowFile | None = None
        self._kept = True

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def size(self) -> int:
        """The bytes that the file takes."""
        return size_of(self.shape, self.dtype)

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self._place.folder

    def __getitem__(self, key: Key) -> NDArray[Any]:
        row_index = np.arange(len(self))[key]
        file = self._opened()
        if file is None:
            return self.inputs[row_index]
        if file.there[row_index].all():
            return file.rows[key if isinstance(key, slice) else row_index]
        if len(row_index) <= MADE_AT_ONCE:
            return self._rows(file, row_index)
        rows = np.empty((len(row_index), *self.shape[1:]), self.dtype)
        for start in range(0, len(row_index), MADE_AT_ONCE):
            stop = start + MADE_AT_ONCE
            rows[start:stop] = self._rows(file, row_index[start:stop])
        return rows

    def fill(self, row_index: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Copies rows into the array `rows`, of this type; those of a file in one go."""
        file = self._opened()
        if file is not None and file.there[row_index].all():
            np.take(file.rows, row_index, axis=0, out=rows, mode="clip")
        else:
            rows[...] = self[row_index]

    def keep(self, row_index: NDArray[np.int64]) -> bool:
        """Makes those rows that are not there yet; returns whether any others may be missing.

        None are where nothing is kept, or another process fills the file.
        """
        file = self._opened()
        if file is None or file.there.all():
            return False
        missing = np.unique(row_index[~file.there[row_index]])
        if len(missing):
            file.put(missing, self.inputs[missing])
        return True

    def _rows(self, file: RowFile, row_index: NDArray[np.int64]) -> NDArray[Any]:
        there = file.there[row_index]
        if not there.any() and len(set(row_index.tolist())) == len(row_index):
            made = self.inputs[row_index]
            file.put(row_index, made)
            return made
        rows = np.empty((len(row_index), *self.shape[1:]), self.dtype)
        rows[there] = file.rows[row_index[there]]
        missing, places = np.unique(row_index[~there], return_inverse=True)
        made = self.inputs[missing]
        file.put(missing, made)
        rows[~there] = made[places]
        return rows

    def _opened(self) -> RowFile | None:
        """The file; None where nothing is kept, or while another process fills it."""
        if self._file is None and self._kept:
            try:
                is_begun = self._path.exists() or draft_of(self._path).exists()
                if not is_begun and not self._place.make_room(self._path, self.size):
                    self._kept = False
                    return None
                self._file = open_rows(self._path, self.shape, self.dtype)
            except OSError:
                self._kept = False
        return self._file


def size_text(size: int) -> str:
    """Bytes in words.

    >>> size_text(196_000_000), size_text(12_300_000_000)
    ('196.0 MB', '12.3 GB')
    """
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def source_of(inputs: Inputs) -> Inputs:
    """What makes the rows of inputs, where these are kept."""
    return inputs.inputs if isinstance(inputs, KeptRows) else inputs


def _is_filled(draft: Path) -> bool:
    """Whether a process is at work on a draft."""
    try:
        descriptor = open_descriptor(draft, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
