"""How one raw array becomes an input of a network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

from .inputs import Inputs, read_ahead

Normalise = Literal["none", "pixels", "scale", "standardise"]
"""How inputs are brought to a size that networks train well on.

`none`: they stay. `pixels`: divided by 255. `scale`: to 0 … 1 by the smallest and the greatest
value of the training part. `standardise`: to mean 0 and standard deviation 1 over the training
part. The last two go by feature, or by channel of an image: along the last axis. A feature that
never changes becomes 0.
"""

PIECE_BYTES = 2**25
"""The bytes of a piece. Inputs larger than memory are gone through piece by piece."""


@dataclass(frozen=True)
class Filling:
    """What fills up rows that are too short, and where."""

    value: float
    side: Literal["post", "pre"]


def filled_up(
    values: NDArray[Any],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    length: int,
    value: float,
    side: Literal["post", "pre"],
) -> NDArray[Any]:
    """The rows `values[start:end]` as an array `[n, length, ...]`: filled up by `value`, or cut.

    >>> filled_up(np.array([1, 2, 3]), np.array([0, 1]), np.array([1, 3]), 2, 0, "pre").tolist()
    [[0, 1], [2, 3]]
    """
    rows = np.full((len(starts), length, *values.shape[1:]), value, values.dtype)
    places = np.arange(length)
    if side == "post":
        source = starts[:, None] + places
        there = source < ends[:, None]
    else:
        source = ends[:, None] - length + places
        there = source >= starts[:, None]
    rows[there] = values[source[there]]
    return rows


@dataclass(frozen=True)
class InputPreparation:
    """`(x - shift) / scale` of an array's entries in a given shape, as float32.

    For inputs of 32-bit integers and more, or of float64, the formula is computed in float64 and
    rounded once. Entries that are ids or text stay as they are: their `dtype` says so.

    >>> pixels = InputPreparation((2, 2, 1), shift=(0.0,), scale=(255.0,))
    >>> pixels.apply(np.full([5, 4], 255, np.uint8)).shape
    (5, 2, 2, 1)
    """

    shape: tuple[int, ...]
    """The shape of one input as the network sees it."""
    shift: tuple[float, ...] = (0.0,)
    """What is subtracted: one number, or one for each entry of the last axis."""
    scale: tuple[float, ...] = (1.0,)
    """The divisor: one number, or one for each entry of the last axis."""
    dtype: Literal["float32", "int32", "string"] = "float32"
    """The type that the network gets; the formula is for float32 alone."""
    fill: tuple[float | None, ...] | None = None
    """What takes the place of NaN, for each entry of the last axis; None where none may be."""
    filling: Filling | None = None
    """What fills up rows along the first axis that are too short; None where all have its length.

    Where `fill` is there as well, it fills up before the formula does the rest.
    """
    kind: Literal["number"] = "number"

    @property
    def classes(self) -> None:
        """How many ids there are: it is not known."""

    @property
    def changes(self) -> bool:
        """Whether the formula does anything."""
        return set(self.shift) != {0.0} or set(self.scale) != {1.0} or self.fill is not None

    def apply(self, raw: NDArray[Any], path: str = "inputs") -> NDArray[Any]:
        """The input of the network for `raw`, an array `[n, ...]`; `path` names it in refusals.

        Where short rows are filled up, `raw` may also be `RaggedRows`.

        Raises:
            Refused: when `raw` has no numbers (or no text), or an input not as many as the shape.
        """
        if self.filling is not None:
            raw = self._of_one_length(raw, self.filling, path)
        shape = raw.shape[1:]
        if shape != self.shape and np.prod(shape) != np.prod(self.shape):
            rule = f"are of shape {list(shape)}, and must be {list(self.shape)}"
            raise refuse(path, ABSENT, rule, "as were those that the network learnt from")
        if self.dtype == "string":
            return raw.reshape(len(raw), *self.shape).astype(object)
        if raw.dtype.kind not in "biuf":
            raise refuse(path, ABSENT, f"are {raw.dtype}, and must be numbers")
        if self.dtype == "int32":
            return _ids(raw, path).reshape(len(raw), *self.shape)
        wide = np.result_type(raw.dtype, np.float32)
        values = raw.reshape(len(raw), *self.shape).astype(wide)
        if self.fill is not None:
            fill = [np.nan if one is None else one for one in self.fill]
            values = np.where(np.isnan(values), np.asarray(fill, wide), values)
        values -= np.asarray(self.shift, wide)
        values /= np.asarray(self.scale, wide)
        return values.astype(np.float32, copy=False)

    def _of_one_length(self, raw: Any, filling: Filling, path: str) -> NDArray[Any]:
        """The rows filled up or cut to the length of an input."""
        length = self.shape[0]
        value = filling.value if self.fill is None else np.nan
        if hasattr(raw, "splits"):
            starts, ends, values = raw.splits[:-1], raw.splits[1:], raw.values
        elif raw.ndim < 2:
            raise refuse(path, ABSENT, "must have a row of steps for each example")
        else:
            if raw.shape[1] == length:
                return np.asarray(raw)
            starts = np.arange(len(raw)) * raw.shape[1]
            ends, values = starts + raw.shape[1], raw.reshape(-1, *raw.shape[2:])
        if self.fill is not None:
            values = values.astype(np.result_type(values.dtype, np.float32))
        rows: NDArray[Any] = filled_up(values, starts, ends, length, value, filling.side)
        return rows

    def undo(self, prepared: NDArray[Any]) -> NDArray[Any]:
        """Raw inputs from prepared ones, as far as float32 could hold them.

        >>> preparation = InputPreparation((1,), shift=(5.0,), scale=(2.0,))
        >>> preparation.undo(np.float32([[-1.0], [0.5]])).tolist()
        [[3.0], [6.0]]
        """
        if self.dtype != "float32":
            return prepared
        return prepared.astype(np.float64) * self.scale + self.shift


def _ids(raw: NDArray[Any], path: str) -> NDArray[np.int32]:
    """Whole numbers in 32 bits.

    Raises:
        Refused: when one is no whole number, or does not fit.
    """
    with np.errstate(invalid="ignore"):
        ids = raw.astype(np.int32)
    if not np.array_equal(ids, raw):
        faulty = raw.ravel()[int((ids != raw).argmax())]
        rule = f"have {faulty}, which is no whole number of 32 bits"
        raise refuse(path, ABSENT, rule, "number them from 0 on")
    return ids


def fit_input(
    normalise: Normalise, inputs: Inputs, shape: tuple[int, ...], dtype: str = "float32"
) -> InputPreparation:
    """The preparation for these training inputs; one pass over them at most."""
    if dtype == "string":
        return InputPreparation(shape, dtype="string")
    if dtype == "int32":
        return InputPreparation(shape, dtype="int32")
    shift, scale = moments(normalise, inputs, shape[-1])
    return InputPreparation(shape, shift, scale)


def moments(
    normalise: Normalise, inputs: Inputs, features: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The shift and the scale for training inputs with so many features along their last axis."""
    if normalise in ("none", "pixels"):
        return (0.0,), (1.0 if normalise == "none" else 255.0,)
    low, high, total, squares = _moments(inputs, features)
    if normalise == "scale":
        return _divisible(low, high - low)
    rows = math.prod(inputs.shape) // features
    # `total` and `squares` are sums of rows less the first row, which loses fewer digits.
    mean = total / rows
    variance = np.maximum(squares / rows - mean**2, 0)
    first = inputs[:1].reshape(-1, features)[0].astype(np.float64)
    return _divisible(first + mean, np.where(high > low, np.sqrt(variance), 0))


def pieces(inputs: Inputs) -> Iterator[NDArray[Any]]:
    """All inputs in their order, in pieces of at most `PIECE_BYTES`, or of one input."""
    input_bytes = inputs.dtype.itemsize * int(np.prod(inputs.shape[1:], dtype=np.int64))
    count = max(1, PIECE_BYTES // max(input_bytes, 1))
    keys = (slice(start, start + count) for start in range(0, len(inputs), count))
    yield from map(np.asarray, read_ahead(inputs, keys))


def _moments(inputs: Inputs, features: int) -> tuple[NDArray[np.float64], ...]:
    """Smallest, greatest, sum and sum of squares by feature; the sums are less the first row."""
    first = low = high = total = squares = np.zeros(features)
    for i, piece in enumerate(pieces(inputs)):
        rows = piece.reshape(-1, features).astype(np.float64)
        if i == 0:
            first, low, high = rows[0], rows[0], rows[0]
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
        rows = rows - first
        total, squares = total + rows.sum(axis=0), squares + np.square(rows).sum(axis=0)
    return low, high, total, squares


def _divisible(
    shift: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shift and scale, where a scale of 0 counts as 1."""
    scale = np.where(scale > 0, scale, 1.0)
    return tuple(shift.tolist()), tuple(scale.tolist())
