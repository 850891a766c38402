"""How raw inputs become the inputs of a network; the record of it is kept with the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

from .inputs import Inputs

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
class Preparation:
    """`(x - shift) / scale` of inputs in a given shape, as float32; and the names of the classes.

    A preparation is worked out on the training part alone and is part of `Split`. A run folder has
    it as `preparation.json`, and later predictions use the same one:

        prepared = Preparation.read(folder / "preparation.json").apply(raw)

    For inputs of 32-bit integers and more, or of float64, the formula is computed in float64 and
    rounded once.

    >>> pixels = Preparation((2, 2, 1), shift=(0.0,), scale=(255.0,))
    >>> pixels.apply(np.full([5, 4], 255, np.uint8)).shape
    (5, 2, 2, 1)
    """

    shape: tuple[int, ...]
    """The shape of one input as the network sees it."""
    shift: tuple[float, ...] = (0.0,)
    """What is subtracted: one number, or one for each entry of the last axis."""
    scale: tuple[float, ...] = (1.0,)
    """The divisor: one number, or one for each entry of the last axis."""
    names: tuple[str, ...] | None = None
    """The names of the classes, where they are not 0, 1, 2 …"""
    columns: tuple[str, ...] | None = None
    """The columns of a table that make one input, in their order."""

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """The inputs of the network for `raw`, an array `[n, ...]` of numbers.

        Raises:
            Refused: when `raw` has no numbers, or an input not as many as the shape.
        """
        if raw.dtype.kind not in "biuf":
            raise refuse("inputs", ABSENT, f"are {raw.dtype}, and must be numbers")
        shape = raw.shape[1:]
        if shape != self.shape and np.prod(shape) != np.prod(self.shape):
            rule = f"are of shape {list(shape)}, and must be {list(self.shape)}"
            raise refuse("inputs", ABSENT, rule, "as were those that the network learnt from")
        wide = np.result_type(raw.dtype, np.float32)
        values = raw.reshape(len(raw), *self.shape).astype(wide)
        values -= np.asarray(self.shift, wide)
        values /= np.asarray(self.scale, wide)
        return values.astype(np.float32, copy=False)

    def undo(self, prepared: NDArray[np.float32]) -> NDArray[np.float64]:
        """Raw inputs from prepared ones, as far as float32 could hold them.

        >>> Preparation((1,), shift=(5.0,), scale=(2.0,)).undo(np.float32([[-1.0], [0.5]])).tolist()
        [[3.0], [6.0]]
        """
        return prepared.astype(np.float64) * self.scale + self.shift

    def with_names(
        self, names: tuple[str, ...] | None, columns: tuple[str, ...] | None = None
    ) -> Preparation:
        """The same preparation, with names of classes and of columns."""
        return replace(self, names=names, columns=columns)

    def write(self, path: Path | str) -> None:
        """Writes the preparation as JSON, with every digit of its numbers."""
        Path(path).write_text(json.dumps(self.__dict__, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The preparation that `write` wrote.

        Raises:
            Refused: when the file can't be read.
        """
        try:
            fields = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(**{key: _immutable(value) for key, value in fields.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise refuse(str(path), ABSENT, f"can't be read: {error}") from None


def fit_preparation(normalise: Normalise, inputs: Inputs, shape: tuple[int, ...]) -> Preparation:
    """The preparation for these training inputs; one pass over them at most."""
    if normalise == "none":
        return Preparation(shape)
    if normalise == "pixels":
        return Preparation(shape, scale=(255.0,))
    low, high, total, squares = _moments(inputs, shape[-1])
    if normalise == "scale":
        return _preparation(shape, low, high - low)
    rows = len(inputs) * int(np.prod(shape[:-1], dtype=np.int64))
    # `total` and `squares` are sums of rows less the first row, which loses fewer digits.
    mean = total / rows
    variance = np.maximum(squares / rows - mean**2, 0)
    first = inputs[:1].reshape(-1, shape[-1])[0].astype(np.float64)
    return _preparation(shape, first + mean, np.where(high > low, np.sqrt(variance), 0))


def pieces(inputs: Inputs) -> Iterator[NDArray[Any]]:
    """All inputs in their order, in pieces of at most `PIECE_BYTES`, or of one input."""
    input_bytes = inputs.dtype.itemsize * int(np.prod(inputs.shape[1:], dtype=np.int64))
    count = max(1, PIECE_BYTES // max(input_bytes, 1))
    for start in range(0, len(inputs), count):
        yield np.asarray(inputs[start : start + count])


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


def _preparation(
    shape: tuple[int, ...], shift: NDArray[np.float64], scale: NDArray[np.float64]
) -> Preparation:
    """`(x - shift) / scale`, where a scale of 0 counts as 1."""
    scale = np.where(scale > 0, scale, 1.0)
    return Preparation(shape, tuple(shift.tolist()), tuple(scale.tolist()))


def _immutable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
