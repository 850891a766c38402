"""Examples of identifiers, as a recommender has them: what the jobs on embeddings learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def looked_up(
    vocabulary: int = 200_000, examples: int = 20_000, length: int = 64
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Identifiers `[examples, length]` below `vocabulary`, and a number for each example.

    >>> ids, labels = looked_up(10, 4, 3)
    >>> ids.shape, labels.shape, int(ids.max()) < 10
    ((4, 3), (4,), True)
    """
    random = np.random.default_rng(0)
    ids = random.integers(0, vocabulary, size=(examples, length), dtype=np.int32)
    return ids, random.normal(size=examples).astype(np.float32)
