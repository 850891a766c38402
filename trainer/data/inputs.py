"""Raw inputs: arrays, or what can be read like one without being in memory."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .files import unreadable

Key: TypeAlias = "slice | NDArray[np.integer[Any]]"
"""Which inputs are read: some that follow one another, or some by their numbers."""


class Inputs(Protocol):
    """What can be read like an array `[n, ...]` of numbers, some of its first axis at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> NDArray[Any]: ...


class Subset:
    """Some of other inputs, in an order of their own, read when they are asked for."""

    def __init__(self, inputs: Inputs, numbers: NDArray[np.integer[Any]]) -> None:
        self.inputs = inputs
        self.numbers = numbers
        self.shape = (len(numbers), *inputs.shape[1:])
        self.dtype = inputs.dtype

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, key: Key) -> NDArray[Any]:
        return np.asarray(self.inputs[self.numbers[key]])


class Packed:
    """An array of an archive that must be unpacked as a whole."""

    whole = True

    def __init__(self, file: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.file = file
        self.name = name
        self.shape = shape
        self.dtype = dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Key) -> NDArray[Any]:
        try:
            with zipfile.ZipFile(self.file) as archive, archive.open(self.name) as member:
                return np.asarray(npy.read_array(member, allow_pickle=False)[key])
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise unreadable("path", self.file, error) from None
