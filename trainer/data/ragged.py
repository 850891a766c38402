"""Rows of different lengths: kept one behind the other, and filled up to one length when read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Declaration, Number, Whole

from .input_preparation import Filling, filled_up
from .inputs import Key

Length = Annotated[Whole, Field(ge=1)]


FILLS_UP = "data.ragged={length: longest} fills up rows of numbers"
ONE_SHAPE = f"all inputs need one shape; {FILLS_UP}"
"""Hints where rows are of several lengths."""


class Ragged(Declaration):
    """How rows of different lengths are brought to one: what is short is filled up, the rest cut.

    `keras.utils.pad_sequences` with `padding` and `truncating` of this `side` gives the same.
    """

    length: Length | Literal["longest"] | Mapping[str, Length]
    """How many steps every row gets; or of each input by its name."""
    value: Number = 0
    """What fills up a row, as it comes to the network; what masks must know it."""
    side: Literal["post", "pre"] = "post"
    """Where rows are filled up or cut: behind their end, or before their beginning."""

    @property
    def filling(self) -> Filling:
        """What fills up, and where."""
        return Filling(float(self.value), self.side)

    def length_of(self, name: str | None, longest: int) -> int:
        """How many steps the rows of an input get; None is for labels, which have no names here."""
        if isinstance(self.length, Mapping):
            return longest if name is None else self.length.get(name, longest)
        return longest if self.length == "longest" else self.length


class RaggedRows:
    """Rows `[time, ...]` of several lengths; row i is `values[splits[i]:splits[i + 1]]`.

    >>> rows = RaggedRows(np.arange(5), np.array([0, 2, 5]))
    >>> rows.lengths.tolist(), rows[1:].values.tolist()
    ([2, 3], [2, 3, 4])
    """

    def __init__(self, values: NDArray[Any], splits: NDArray[np.int64]) -> None:
        self.values = values
        self.splits = splits
        self.dtype = values.dtype

    @classmethod
    def of(cls, rows: Any) -> RaggedRows | None:
        """The rows of a list or an object array of lists or arrays, or of a `tf.RaggedTensor`.

        None where they are nothing of the sort: not of numbers, or of more than one ragged axis.
        """
        if hasattr(rows, "row_splits"):  # a RaggedTensor, told without importing TensorFlow
            values = rows.values
            if hasattr(values, "row_splits"):
                return None
            return cls(np.asarray(values), np.asarray(rows.row_splits).astype(np.int64))
        try:
            arrays = [np.asarray(row) for row in rows]
            lengths = [len(array) for array in arrays]
            values = np.concatenate([array for array in arrays if len(array)])
        except (ValueError, TypeError):
            return None
        if any(array.dtype.kind not in "biuf" for array in arrays):
            return None
        return cls(values, np.cumsum([0, *lengths]).astype(np.int64))

    @classmethod
    def uneven(cls, rows: Any) -> RaggedRows | None:
        """The same; None also where all rows have one length."""
        found = cls.of(rows)
        return found if found is not None and len(set(found.lengths.tolist())) > 1 else None

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many steps each row has."""
        return np.diff(self.splits)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows there are, the longest length, and the shape of a step."""
        longest = int(self.lengths.max()) if len(self) else 0
        return (len(self), longest, *self.values.shape[1:])

    def dense(self) -> NDArray[Any]:
        """The rows, which all have one length, as an array."""
        return self.values.reshape(self.shape)

    def __len__(self) -> int:
        return len(self.splits) - 1

    def __getitem__(self, key: Key) -> RaggedRows:
        row_index = np.arange(len(self))[key]
        lengths = self.lengths[row_index]
        splits = np.cumsum([0, *lengths]).astype(np.int64)
        within = np.arange(splits[-1]) - np.repeat(splits[:-1], lengths)
        return RaggedRows(self.values[np.repeat(self.splits[row_index], lengths) + within], splits)


class Padded:
    """Rows of different lengths that read like an array `[n, length, ...]`, filled up or cut."""

    def __init__(self, rows: RaggedRows, length: int, filling: Filling, *, empty: bool) -> None:
        """With `empty`, NaN fills up, since `filling` comes after the rows are normalised."""
        self.rows = rows
        self.filling = filling
        self.shape = (len(rows), length, *rows.values.shape[1:])
        self.dtype = rows.dtype
        self.is_empty = empty
        self._value = np.nan if empty else filling.value

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> NDArray[Any]:
        row_index = np.arange(len(self))[key]
        starts, ends = self.rows.splits[:-1][row_index], self.rows.splits[1:][row_index]
        return filled_up(
            self.rows.values, starts, ends, self.shape[1], self._value, self.filling.side
        )


def rows_or_array(values: Any) -> Any:
    """An array, or `RaggedRows` where the rows of `values` have several lengths."""
    if hasattr(values, "row_splits"):
        return RaggedRows.of(values)
    try:
        array = np.asarray(values)
    except ValueError:
        if (rows := RaggedRows.of(values)) is None:
            raise
        return rows
    if array.dtype == object and array.ndim == 1 and len(array) and np.ndim(array[0]):
        return RaggedRows.of(array) or array
    return array
