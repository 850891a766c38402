"""The order of the examples: one endless row, of which every update takes the next batch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class Stream:
    """Epoch after epoch of permutations, each a pure function of `(seed, epoch)`.

    Update t takes `stream[t * B : (t + 1) * B]`. A batch may reach over the end of an epoch, so
    no example is dropped, every batch has the same shape, and going on from any step needs
    nothing but that step.

    >>> row = Stream(seed=1, examples=5, batch_size=2).indices(0, 5).ravel()
    >>> sorted(row[:5].tolist()), sorted(row[5:].tolist())
    ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    """

    def __init__(self, seed: int, examples: int, batch_size: int) -> None:
        self.seed = seed
        self.examples = examples
        self.batch_size = batch_size
        self._permutation = lru_cache(maxsize=2)(self._drawn)

    def indices(self, step: int, count: int) -> NDArray[np.int32]:
        """Which examples updates `step` to `step + count - 1` learn from: `[count, batch_size]`."""
        start, stop = step * self.batch_size, (step + count) * self.batch_size
        first, last = start // self.examples, -(-stop // self.examples)
        row = np.concatenate(
            [self._permutation(epoch) for epoch in range(first, max(last, first + 1))]
        )
        begin = start - first * self.examples
        return row[begin : begin + stop - start].reshape(count, self.batch_size)

    def _drawn(self, epoch: int) -> NDArray[np.int32]:
        random = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        return random.permutation(self.examples).astype(np.int32)
