"""Inputs that are rows following one another, each row kept once and gathered when it is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from .column import Prepared
from .column_preparation import CategoryPreparation, DatePreparation
from .held_out import RowIndex
from .input_preparation import InputPreparation, Normalise, fit_input
from .inputs import Inputs, Key
from .on_disk import Stored
from .raw_part import RawPart
from .trees import map_tree


class Shared:
    """Rows that are read as a whole, once for all who hold them at a time."""

    reads_whole = True

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._read: Any = None
        self.shape, self.dtype = tuple(inputs.shape), inputs.dtype

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, key: Key) -> NDArray[Any]:
        array = self._read() if self._read is not None else None
        if array is None:
            array = np.asanyarray(self._inputs[:])
            self._read = ref(array)
        rows: NDArray[Any] = array[key]
        return rows


class Windows:
    """Windows of some rows, which read like an array `[n, *shape]`; a row is kept once.

    Rows are gathered when windows are read, so that memory holds each of them once, and not
    `length` times.
    """

    def __init__(
        self,
        source: Inputs,
        row_index: slice | RowIndex,
        starts: RowIndex,
        offsets: RowIndex,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        """Windows of the rows `row_index` of `source`, which begin at `starts` among these."""
        self._source = source
        self._row_index = row_index
        self.starts = starts
        self.offsets = offsets
        own = (len(offsets), *source.shape[1:])
        self.shape = (len(starts), *(own if shape is None else shape))
        self.dtype = source.dtype

    @property
    def rows(self) -> NDArray[Any]:
        """The rows, each once."""
        return self._source[self._row_index]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of a row; a single number is a row of one."""
        return tuple(self._source.shape[1:]) or (1,)

    @property
    def rows_size(self) -> int:
        """How many numbers the rows have."""
        index = self._row_index
        count = index.stop - index.start if isinstance(index, slice) else len(index)
        return int(count * math.prod(self.row_shape))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, key: Key) -> NDArray[Any]:
        places = (self.starts[key][:, None] + self.offsets).ravel()
        index = self._row_index
        rows = places + index.start if isinstance(index, slice) else index[places]
        return np.asarray(self._source[rows]).reshape(-1, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)

    def part(self, row_index: slice | RowIndex) -> Windows:
        """Some of the windows."""
        return Windows(
            self._source, self._row_index, self.starts[row_index], self.offsets, self.shape[1:]
        )

    def loaded(self, *, streams: bool) -> Windows:
        """The same with its rows in memory, or unread where they can be read in parts."""
        if streams and not getattr(self._source, "reads_whole", False):
            return self
        return self._of(np.asanyarray(self.rows), self.shape[1:])

    def prepared(self, preparation: Prepared) -> Windows:
        """The same with each row prepared, once."""
        return self._of(of_rows(preparation, self).apply(self.rows), preparation.shape)

    def _of(self, rows: NDArray[Any], shape: tuple[int, ...]) -> Windows:
        return Windows(rows, slice(0, len(rows)), self.starts, self.offsets, shape)


def fit_rows(
    normalise: Normalise, inputs: Inputs, shape: tuple[int, ...], dtype: str
) -> InputPreparation:
    """The preparation for these training inputs; of windows by their rows, each counted once."""
    if not isinstance(inputs, Windows):
        return fit_input(normalise, inputs, shape, dtype)
    return replace(fit_input(normalise, inputs.rows, inputs.row_shape, dtype), shape=shape)


def shared(part: RawPart) -> RawPart:
    """The same part whose inputs are read once where several windows are of them."""

    def wrapped(inputs: Inputs) -> Inputs:
        return Shared(inputs) if getattr(inputs, "reads_whole", False) else inputs

    return replace(part, inputs=map_tree(wrapped, part.inputs))


def learn_of(
    learn: Callable[[NDArray[Any]], Prepared], inputs: Inputs, trains: slice | RowIndex
) -> Prepared:
    """The preparation that is learnt of the training part; of windows by their rows, once each."""
    if not isinstance(inputs, Windows):
        return learn(inputs[trains])
    learnt = learn(inputs.rows)
    if isinstance(learnt, InputPreparation):
        return replace(learnt, shape=inputs.shape[1:])
    assert isinstance(learnt, (CategoryPreparation, DatePreparation)), "text is in no window"
    return replace(learnt, steps=len(inputs.offsets))


def of_rows(preparation: Prepared, windows: Windows) -> Prepared:
    """What prepares each row of windows as `preparation` does a window of them."""
    if isinstance(preparation, InputPreparation):
        return replace(preparation, shape=windows.row_shape)
    assert isinstance(preparation, (CategoryPreparation, DatePreparation)), "text is in no window"
    return replace(preparation, steps=None)


def overlapping(array: Any) -> tuple[Any, RowIndex] | None:
    """The prepared rows of windows, and which of them each window begins and goes on with.

    None where the array is no windows, prepared or `Stored`.
    """
    if isinstance(array, Windows):
        return array.rows, np.concatenate([array.starts, array.offsets])
    if not isinstance(array, Stored) or not isinstance(array.raw, Windows):
        return None
    windows: Windows = array.raw
    one = of_rows(array.preparation, windows)
    return Stored(windows.rows, one), np.concatenate([windows.starts, windows.offsets])
