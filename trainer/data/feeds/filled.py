"""Test examples in batches of one size, the last one filled up with others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import tensorflow as tf

from .batch import Batch


class Filled(NamedTuple):
    """A batch of which only the first examples are there for their own sake."""

    batch: Batch
    real: int
    """How many they are; what follows them counts for nothing."""


def filled(batches: Iterable[Batch], size: int | None) -> Iterator[Filled]:
    """The same examples in batches of `size`, or as they come where that is None.

    What fills up the last one is its own examples over again, with a weight of 0 where there are
    weights.
    """
    left: Batch | None = None
    for batch in batches:
        if size is None:
            yield Filled(batch, batch.size)
            continue
        left = batch if left is None else left.followed_by(batch)
        while left.size >= size:
            yield Filled(left.rows(slice(0, size)), size)
            left = left.rows(slice(size, None))
    if left is not None and size is not None and left.size:
        real = left.size
        whole = left.rows(tf.range(size) % real)
        if whole.weights is not None:
            there = tf.cast(tf.range(size) < real, whole.weights.dtype)
            whole = whole._replace(weights=whole.weights * there)
        yield Filled(whole, real)
