"""Raw inputs: arrays, or objects that read like arrays and leave the numbers on disk."""

from __future__ import annotations

import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .files import unreadable

Key: TypeAlias = "slice | NDArray[np.integer[Any]]"
"""Which inputs to read: a slice of them, or an array of their numbers."""


class Inputs(Protocol):
    """Inputs that read like an array `[n, ...]` of numbers, some rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> NDArray[Any]: ...


def read_ahead(inputs: Inputs, keys: Iterable[Key]) -> Iterator[NDArray[Any]]:
    """The inputs of each key in turn, of which the next ones are read while these are at work."""
    if isinstance(inputs, np.ndarray):
        yield from (inputs[key] for key in keys)
        return
    with ThreadPoolExecutor(1, "reading ahead") as reader:
        reads: deque[Future[NDArray[Any]]] = deque()
        for key in keys:
            reads.append(reader.submit(inputs.__getitem__, key))
            if len(reads) > 1:
                yield reads.popleft().result()
        yield from (read.result() for read in reads)


class Subset:
    """Some rows of other inputs, in the order of `row_index`, read on demand."""

    def __init__(self, inputs: Inputs, row_index: NDArray[np.integer[Any]]) -> None:
        self.inputs = inputs
        self.row_index = row_index
        self.shape = (len(row_index), *inputs.shape[1:])
        self.dtype = inputs.dtype

    def __len__(self) -> int:
        return len(self.row_index)

    def __getitem__(self, key: Key) -> NDArray[Any]:
        return np.asarray(self.inputs[self.row_index[key]])


class Packed:
    """A compressed array of an `.npz` archive, which is always unpacked as a whole."""

    reads_whole = True
    """Reading some rows costs as much as reading all of them."""

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
