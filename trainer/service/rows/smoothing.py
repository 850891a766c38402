"""The running mean that a chart shows, over all rows and not over those that it draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .buckets import Values

BLOCK = 64
"""How many rows are summed by one product; the mean is carried from one block to the next."""


def smoothed(values: Values, weight: float, at: NDArray[np.int64]) -> Values:
    """`m_k = weight * m_(k-1) + (1 - weight) * x_k`, divided by `1 - weight**k`, at some rows.

    The division makes up for the beginning at 0 (Kingma and Ba 2015, section 3). Values that are
    not finite, or not there, change nothing; before the first finite one there is NaN.

    >>> smoothed(np.array([1.0, 1.0, 3.0, np.inf]), 0.5, np.arange(4))
    array([1.        , 1.        , 2.14285714, 2.14285714])
    """
    finite = np.isfinite(values)
    if finite.all():
        numbers, latest = values, np.asarray(at)
    else:
        numbers, latest = values[finite], np.cumsum(finite)[at] - 1
    found = np.full(len(latest), np.nan)
    there = latest >= 0
    if not there.any():
        return found
    blocks = np.pad(numbers, (0, -len(numbers) % BLOCK)).reshape(-1, BLOCK)
    powers = weight ** np.arange(BLOCK + 1)
    carried, before = np.empty(len(blocks)), 0.0
    for block, whole in enumerate((blocks @ ((1 - weight) * powers[BLOCK - 1 :: -1])).tolist()):
        carried[block] = before
        before = whole + float(powers[BLOCK]) * before
    own, place = np.divmod(latest[there], BLOCK)
    distance = place[:, None] - np.arange(BLOCK)
    shares = np.where(distance >= 0, (1 - weight) * powers[abs(distance)], 0.0)
    means = (blocks[own] * shares).sum(axis=1) + carried[own] * powers[place + 1]
    found[there] = means / (1 - weight ** (latest[there] + 1.0))
    return found
