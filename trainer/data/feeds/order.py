"""The order of training examples: an endless sequence that updates take batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import nan
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from schedules.batch_sizes import BatchSizes

MOST_PERMUTED = 10**7
"""The most examples whose permutation is drawn as a whole: 80 MB, in a quarter of a second."""
CIPHER_PIECE = 2**14
"""How many entries are ciphered at a time: few enough to stay in a core's own cache, and enough
for numpy's calls to cost nothing beside the numbers."""


class ExampleOrder:
    """Epoch after epoch of permutations, each a pure function of `(seed, epoch)`.

    Update t takes the entries `t * B` to `(t + 1) * B - 1`, for batches of B, or where the run went
    on with another size, the B entries after those that were taken before. A batch may reach over
    the end of an epoch: no example is dropped, every batch has the same shape, and a run continues
    from any step by that step and `batch_sizes` alone. More than ten million examples are permuted
    by a cipher, which needs no memory: see `Cipher`.

    >>> row = ExampleOrder(seed=1, examples=5, batch_size=2).indices(0, 5).ravel()
    >>> sorted(row[:5].tolist()), sorted(row[5:].tolist())
    ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    """

    ciphers: ClassVar[bool] = True
    """Whether so many examples are ciphered, in the place of a permutation."""

    def __init__(
        self,
        seed: int,
        examples: int | None,
        batch_size: int,
        batch_sizes: BatchSizes | None = None,
    ) -> None:
        """`batch_sizes` are those of a run whose updates did not all have `batch_size`.

        A stream has an order of its own; of one whose length is not known, `examples` is None.
        """
        self.seed = seed
        self.examples = examples
        self.batch_size = batch_size
        self._batch_sizes = batch_sizes or BatchSizes(((0, batch_size),))
        self._length = examples or 1
        ciphers = self.ciphers and self._length > MOST_PERMUTED
        compute: Callable[[int], NDArray[Any]] = self._ciphered if ciphers else self._permuted
        self._piece = lru_cache(maxsize=2)(compute)
        self._piece_length = CIPHER_PIECE if ciphers else self._length

    @overload
    def epochs(self, step: int) -> float: ...
    @overload
    def epochs(self, step: NDArray[np.int64]) -> NDArray[np.float64]: ...
    def epochs(self, step: int | NDArray[np.int64]) -> float | NDArray[np.float64]:
        """How many passes over the training examples `step` updates are; NaN where that is not
        known.
        """
        return self._batch_sizes.examples(step) / (self.examples or nan)

    def first_example(self, step: int) -> int:
        """How many examples all updates before `step` take."""
        return self._batch_sizes.examples(step)

    def indices(self, step: int, count: int) -> NDArray[np.int32] | NDArray[np.int64]:
        """Which examples updates `step` to `step + count - 1` learn from: `[count, batch_size]`.

        They must all have the present batch size.
        """
        start = self._batch_sizes.examples(step)
        stop = start + count * self.batch_size
        length = self._piece_length
        first, last = start // length, -(-stop // length)
        pieces = [
            self._piece(number)[max(start - before, 0) : max(stop - before, 0)]
            for number in range(first, max(last, first + 1))
            for before in [number * length]
        ]
        return np.concatenate(pieces).reshape(count, self.batch_size)

    def _permuted(self, epoch: int) -> NDArray[np.int32]:
        """The permutation of an epoch."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        return random.permutation(self._length).astype(np.int32)

    def _ciphered(self, piece: int) -> NDArray[np.int64]:
        """The entries `piece * CIPHER_PIECE` and after, which may span several epochs."""
        start, stop = piece * CIPHER_PIECE, (piece + 1) * CIPHER_PIECE
        entries = []
        for epoch in range(start // self._length, -(-stop // self._length)):
            before = epoch * self._length
            places = np.arange(max(start, before), min(stop, before + self._length)) - before
            entries.append(Cipher(self.seed, epoch, self._length)(places))
        return np.concatenate(entries)


class Cipher:
    """A permutation of `0 … n - 1`, any entry of which can be computed alone.

    A Feistel network of eight rounds over the least number of bits that hold n. Its round function
    is the finalizer of MurmurHash3, with keys drawn from `(seed, epoch)`. A value of n or above is
    ciphered again. `tf.random.experimental.index_shuffle` does the same with another cipher.

    >>> sorted(Cipher(seed=1, epoch=0, n=5)(np.arange(5)).tolist())
    [0, 1, 2, 3, 4]
    """

    ROUNDS = 8

    def __init__(self, seed: int, epoch: int, n: int) -> None:
        self.n = n
        bits = max(2, (n - 1).bit_length())
        self._left, self._right = np.uint64(bits // 2), np.uint64(bits - bits // 2)
        random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        self._keys = random.integers(0, 2**64, self.ROUNDS, np.uint64)

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The entries at some places."""
        values = self._ciphered(places.astype(np.uint64))
        while (outside := values >= self.n).any():
            values[outside] = self._ciphered(values[outside])
        return values.astype(np.int64)

    def _ciphered(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = self._left, self._right
        bit = np.uint64(1)
        high = values.copy()  # all in place, since memory costs more than these numbers do
        low, mixed, scratch = (np.empty_like(values) for _ in range(3))
        for key in self._keys:
            # The halves change places each round, and with them their widths.
            np.bitwise_and(high, (bit << right) - bit, out=low)
            high >>= right
            np.bitwise_xor(low, key, out=mixed)
            _mix(mixed, scratch)
            mixed &= (bit << left) - bit
            high ^= mixed
            low <<= left
            high |= low
            left, right = right, left
        return high


def _mix(x: NDArray[np.uint64], scratch: NDArray[np.uint64]) -> None:
    """Applies the 64-bit finalizer of MurmurHash3 (Appleby 2011) to `x`, in place."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        np.right_shift(x, np.uint64(33), out=scratch)
        x ^= scratch
        x *= np.uint64(factor)
    np.right_shift(x, np.uint64(33), out=scratch)
    x ^= scratch
