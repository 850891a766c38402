"""Functions that test configs name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def one(steps: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.ones(len(steps))


def tenth(steps: NDArray[np.int64], **ignored: object) -> NDArray[np.float64]:
    return np.full(len(steps), 0.1)
