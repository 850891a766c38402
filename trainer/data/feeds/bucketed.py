"""Batches of examples of like lengths: their order, and what cuts each to its bucket's length."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schedules.batch_sizes import BatchSizes

from ..buckets import Buckets
from .batch import Batch
from .feed import Feed, FeedArgs
from .order import ExampleOrder


class BucketedOrder(ExampleOrder):
    """The same permutations, of each the examples of a bucket together.

    The examples of an epoch are sorted by bucket, and stay in the order of its permutation within
    one. They are cut into batches, so that what a bucket has left over is in a batch of the next
    larger one, and the batches are shuffled. What is left over after all is of the largest ones:
    it is the batch that reaches over the end of the epoch. All follows from `(seed, epoch)` and the
    batch sizes; where a run went on with another size in an epoch, the examples that were left
    then are sorted anew.

    `tf.data.Dataset.bucket_by_sequence_length` keeps a buffer for each bucket in the place of this,
    and ends each pass with a batch that is not full in every bucket.
    """

    ciphers = False

    def __init__(
        self,
        seed: int,
        bucket_of: NDArray[np.int64],
        batch_size: int,
        batch_sizes: BatchSizes | None = None,
    ) -> None:
        """`bucket_of` has the bucket of each example."""
        super().__init__(seed, len(bucket_of), batch_size, batch_sizes)
        self._bucket_of = bucket_of

    def buckets(self, step: int, count: int) -> NDArray[np.int32]:
        """The bucket of each update: the largest one of its examples, `[count]`."""
        buckets: NDArray[np.int64] = self._bucket_of[self.indices(step, count)].max(axis=1)
        return buckets.astype(np.int32)

    def _permuted(self, epoch: int) -> NDArray[np.int32]:
        left = super()._permuted(epoch)
        at, end = epoch * self._length, (epoch + 1) * self._length
        pieces = []
        for number, (first, stop, size) in enumerate(self._stretches()):
            if first < end and stop > at:
                random = np.random.Philox(key=[self.seed, epoch], counter=[0, 0, 0, 1 + number])
                left = self._in_batches(left, (first - at) % size, size, random)
                count = min(stop, end) - at
                pieces.append(left[:count])
                left, at = left[count:], at + count
        return np.concatenate(pieces)

    def _stretches(self) -> Iterator[tuple[int, int, int]]:
        """Yields from which example up to which other batches have one size."""
        since = [(self._batch_sizes.examples(step), size) for step, size in self._batch_sizes.since]
        for (first, size), (stop, _) in pairwise([*since, (sys.maxsize, 0)]):
            yield first, stop, size

    def _in_batches(
        self, examples: NDArray[np.int32], head: int, size: int, random: np.random.Philox
    ) -> NDArray[np.int32]:
        """The examples in batches, after the `head` of them that ends a batch begun before."""
        count = max(0, len(examples) - head) // size
        by_bucket = examples[np.argsort(self._bucket_of[examples], kind="stable")]
        whole, rest = by_bucket[: count * size], by_bucket[count * size :]
        order = np.random.Generator(random).permutation(count)
        return np.concatenate([rest[:head], whole.reshape(count, size)[order].ravel(), rest[head:]])


class Bucketed(Feed):
    """Another feed, the batch of each update cut to the length of its bucket."""

    def __init__(self, feed: Feed, order: BucketedOrder, buckets: Buckets) -> None:
        super().__init__(order)
        self._feed, self._buckets = feed, buckets

    def in_order(self, order: ExampleOrder) -> Self:
        feed = super().in_order(order)
        feed._feed = self._feed.in_order(order)
        return feed

    def signature(self, updates: int | None) -> FeedArgs:
        return self._feed.signature(updates), tf.TensorSpec((updates,), tf.int32)

    def args(self, step: int, count: int, longest: int) -> FeedArgs:
        assert isinstance(self.order, BucketedOrder)
        numbers = self.order.buckets(step, count)
        padded = np.pad(numbers, (0, max(0, longest - count)))
        return self._feed.args(step, count, longest), tf.constant(padded)

    def batch(self, feed_args: FeedArgs, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        return self._feed.batch(feed_args[0], i, part, parts)

    def in_shape(
        self, feed_args: FeedArgs, i: tf.Tensor, work: Callable[[Feed], list[tf.Tensor]]
    ) -> list[tf.Tensor]:
        branches = [partial(work, _Cut(self, length)) for length in self._buckets.lengths]
        made: list[tf.Tensor] = tf.switch_case(feed_args[1][i], branches)
        return made

    def cut(self, batch: Batch, length: int) -> Batch:
        """The batch with so many steps, where arrays have more."""

        def cut(names: tuple[str, ...], tree: Any) -> Any:
            if not isinstance(tree, dict):
                return tree[:, :length] if "" in names else tree
            return {n: x[:, :length] if n in names else x for n, x in tree.items()}

        own_labels = batch.own_labels
        return batch._replace(
            inputs=cut(self._buckets.inputs, batch.inputs),
            own_labels=None if own_labels is None else cut(self._buckets.labels, own_labels),
        )

    def tests(self) -> Iterator[Batch]:
        return self._feed.tests()


class _Cut(Feed):
    """A bucketed feed whose batches all have one of its lengths."""

    def __init__(self, feed: Bucketed, length: int) -> None:
        super().__init__(feed.order)
        self._feed, self._length = feed, length

    def signature(self, updates: int | None) -> FeedArgs:
        return self._feed.signature(updates)

    def args(self, step: int, count: int, longest: int) -> FeedArgs:
        return self._feed.args(step, count, longest)

    def batch(self, feed_args: FeedArgs, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        return self._feed.cut(self._feed.batch(feed_args, i, part, parts), self._length)

    def tests(self) -> Iterator[Batch]:
        return self._feed.tests()
