"""A curve's float32 values as parabolas in integers, which every compiler computes alike.

Float32 numbers in ascending order are numbered by their bits, so a curve that rounds to float32
is a row of integers, its ordinals. Where the curve is smooth a parabola with binary fractions,
rounded down, gives 65,536 of them exactly; at stairs a piece that is level gives as many as there
are. Which piece gives what is not estimated: every step is read and compared.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules import Curve
from schedules.analysis.preview import CHUNK, chunks
from schedules.moments import Values

Pieces = NDArray[np.int64]
"""Rows of `start, k, c0, c1, c2`: from step `start` on, for at most `2**k` steps unless level."""

FRACTION = 22
"""Binary places of the coefficients: more would not survive float64, 31 + 22 bits."""
HALF = 1 << (FRACTION - 1)
LONGEST = CHUNK.bit_length() - 1
"""The `k` of the longest parabola."""
STEEPEST = 1 << (61 - LONGEST)
"""What c1 and c2 stay below, so that no product of theirs leaves 64 bits."""


class CurveTooLongError(ValueError):
    """A curve that takes more pieces than allowed; `steps` of it took them all."""

    def __init__(self, steps: int) -> None:
        super().__init__(f"the first {steps} steps take all the pieces allowed")
        self.steps = steps


def ordinal(bits: Any, sign: Any) -> Any:
    """The number of a float32 in ascending order from its bits as int32, and the way back.

    `sign` is `bits >> 31`: -1 for negative numbers, whose bits ascend the other way.
    """
    return bits ^ (sign & 0x7FFFFFFF)


def parabola(pieces: Any, u: Any, shift: Callable[[Any, Any], Any]) -> Any:
    """`floor(c0 + c1 x + c2 x**2)` with `x = u / 2**k`, u steps after a piece's start.

    `shift` is `numpy.right_shift` or TensorFlow's: one text for the test and for the program.
    """
    k, c0, c1, c2 = pieces
    return shift(c0 + shift((c1 + shift(c2 * u, k)) * u, k), FRACTION)


def fitted(curve: Curve, steps: range, at_most: int) -> Pieces:
    """The pieces that give `np.float32(curve(step))` at each of `steps`, which start at 0.

    Raises:
        CurveTooLongError: when there would be more than `at_most`.
    """
    all_pieces, count = [], 0
    for part, values in chunks(curve, steps):
        pieces = _fewest(values)
        pieces[:, 0] += part.start
        all_pieces.append(pieces)
        count += len(pieces)
        if count > at_most:
            raise CurveTooLongError(part.stop)
    return np.concatenate(all_pieces)


def _fewest(values: Values) -> Pieces:
    """The pieces of up to `CHUNK` values: level ones, or parabolas where those are fewer."""
    rounded = _rounded(values)
    whole = ordinal(rounded, rounded >> 31).astype(np.int64)
    changes = np.flatnonzero(whole[1:] != whole[:-1]) + 1
    level = _level(np.concatenate([[0], changes]), whole)
    if len(level) == 1:
        return level
    missing = (0, CHUNK - len(values))
    if missing != (0, 0):
        values, whole = np.pad(values, missing, "edge"), np.pad(whole, missing, "edge")
    parabolas = _parabolas(values, whole, len(level))
    return level if parabolas is None else parabolas


def _rounded(values: Values) -> NDArray[np.int32]:
    """The bits of the nearest float32."""
    with np.errstate(over="ignore"):  # whoever declares infinities is told by lint
        return values.astype(np.float32).view(np.int32)


def _level(starts: NDArray[np.int64], whole: NDArray[np.int64]) -> Pieces:
    pieces = np.zeros((len(starts), 5), np.int64)
    pieces[:, 0] = starts
    pieces[:, 2] = (whole[starts] << FRACTION) + HALF
    return pieces


def _parabolas(values: Values, whole: NDArray[np.int64], fewer_than: int) -> Pieces | None:
    """Pieces of `2**k` steps, each halved twice until it fits; None when they are too many."""
    all_pieces, count = [], 0
    starts = np.zeros(1, np.int64)
    for k in range(LONGEST, 0, -2):
        if not starts.size or count + len(starts) >= fewer_than:
            break
        u = np.arange(1 << k)
        pieces = _through(starts, k, values, whole)
        fits = np.asarray((np.abs(pieces[:, 3:]) < STEEPEST).all(axis=1))
        for stride in (max(1, len(u) >> 6), 1):  # a few steps rule out most of what won't fit
            fits[fits] = _exact(pieces[fits], u[::stride], whole)
        all_pieces.append(pieces[fits])
        count += int(fits.sum())
        starts = (starts[~fits, np.newaxis] + u[:: 1 << (k - 2)]).ravel()
    if count + len(starts) >= fewer_than:
        return None
    pieces = np.concatenate([*all_pieces, _level(starts, whole)])
    return pieces[np.argsort(pieces[:, 0])]


def _exact(pieces: Pieces, u: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the pieces give what they must, u steps after their starts."""
    numbers = parabola(pieces.T[1:, :, np.newaxis], u, np.right_shift)
    return np.asarray((numbers == whole[pieces[:, :1] + u]).all(axis=1))


def _through(starts: NDArray[np.int64], k: int, values: Values, whole: NDArray[np.int64]) -> Pieces:
    """The parabolas through three points each: Chebyshev's, from which they stray the least."""
    nodes = ((1 << k) * (1 - np.cos(pi * np.array([1, 3, 5]) / 6)) / 2).astype(np.int64)
    steps = starts[:, np.newaxis] + nodes
    rounded = _rounded(values[steps]).view(np.float32)
    # The greatest float32 has no neighbour: its spacing is infinite.
    with np.errstate(invalid="ignore", over="ignore"):
        beyond = (values[steps] - rounded) / np.abs(np.spacing(rounded))
    points = whole[steps] + np.where(np.isfinite(beyond), beyond, 0.0)
    first = points[:, :1]
    solved = np.linalg.inv(np.vander(nodes / (1 << k), increasing=True))
    coefficients = (points - first) @ solved.T
    coefficients[:, :1] += first
    scaled = np.rint(coefficients * (1 << FRACTION)).astype(np.int64)
    scaled[:, 0] += HALF
    return np.column_stack([starts, np.full_like(starts, k), scaled])
