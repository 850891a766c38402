"""The running mean that a chart shows, over all rows and not over those that it draws."""

from __future__ import annotations

import numpy as np

from .buckets import Values

BLOCK = 64
"""How many rows are worked out by one row of a matrix product."""


def smoothed(values: Values, weight: float) -> Values:
    """`m_k = weight * m_(k-1) + (1 - weight) * x_k`, divided by `1 - weight**k`, at each row.

    The division makes up for the beginning at 0 (Kingma and Ba 2015, section 3). Values that are
    not finite, or not there, change nothing; before the first finite one there is NaN.

    >>> smoothed(np.array([1.0, 1.0, 3.0, np.inf]), 0.5)
    array([1.        , 1.        , 2.14285714, 2.14285714])
    """
    finite = np.isfinite(values)
    numbers = values[finite]
    if not len(numbers):
        return np.full(len(values), np.nan)
    rows = np.pad(numbers, (0, -len(numbers) % BLOCK)).reshape(-1, BLOCK)
    powers = weight ** np.arange(BLOCK + 1)
    distance = np.arange(BLOCK) - np.arange(BLOCK)[:, None]
    within = rows @ np.where(distance >= 0, (1 - weight) * powers[abs(distance)], 0.0)
    carried, before = np.empty(len(rows)), 0.0
    for block, last in enumerate(within[:, -1].tolist()):
        carried[block] = before
        before = last + float(powers[BLOCK]) * before
    means = (within + carried[:, None] * powers[1:]).ravel()[: len(numbers)]
    means /= 1 - weight ** np.arange(1, len(numbers) + 1)
    if finite.all():
        return means
    latest = np.cumsum(finite) - 1
    return np.where(latest >= 0, means[latest], np.nan)
