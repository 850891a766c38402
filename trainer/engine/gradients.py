"""Gradients: rows of tables summed once, and whether all is finite."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

LARGE = 8
"""How many times as many rows as a batch has ids make a table a large one."""
IDS = 4096
"""How many ids a batch is taken to have where its shape does not tell."""


def summed(
    gradient: tf.Tensor | tf.IndexedSlices, weight: keras.Variable, *, dense: bool
) -> tf.Tensor | tf.IndexedSlices:
    """The gradient of a weight in which every row of it stands once.

    The gradient of a table that is looked up, as an embedding is, comes as slices: a row for each
    id of the batch. Where an id stands twice, Keras' rules would square, clip and decay each of
    its slices alone, and apply them one after another. torch and TensorFlow 1 sum them first, too
    (`SparseAdam` by `coalesce`, `Optimizer._deduplicate_indexed_slices`).

    Few ids of a large table stand twice, and the rows of these alone are added: the same bits in
    half the time, where of other tables it would take a third longer.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    if dense:
        return tf.convert_to_tensor(gradient)
    if not is_large(weight, gradient.indices):
        ids, place = tf.unique(gradient.indices)
        rows = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(ids))
        return tf.IndexedSlices(rows, ids, gradient.dense_shape)
    ids, place, count = tf.unique_with_counts(gradient.indices)
    repeated = tf.reshape(tf.where(tf.gather(count, place) > 1), [-1])
    few, place_of_few = tf.unique(tf.gather(place, repeated))
    sums = tf.math.unsorted_segment_sum(
        tf.gather(gradient.values, repeated), place_of_few, tf.size(few)
    )
    rows = tf.dynamic_stitch([place, few], [gradient.values, sums])  # what comes later prevails
    return tf.IndexedSlices(rows, ids, gradient.dense_shape)


def finite(loss: tf.Tensor, gradients: Sequence[tf.Tensor], *, xla: bool) -> tf.Tensor:
    """Whether the loss and every entry of every gradient are finite numbers.

    XLA makes a loop, an entry at a time, of a reduction over booleans. There `0 * x`, which is
    0 or NaN, is summed by a matrix product instead, in a third of the time.
    """
    loss = loss if loss.shape.rank == 0 else loss[0]  # what is measured besides may be as it likes
    if not xla:
        return tf.reduce_all([_all_finite(x) for x in (loss, *gradients)])
    sums = []
    for x in map(tf.convert_to_tensor, gradients):
        if x.shape.rank > 1:
            table = tf.reshape(x, [-1, x.shape[-1]])
            x = tf.linalg.matvec(table, tf.fill(table.shape[:1], 0 * loss), transpose_a=True)
        sums.append(tf.reshape(x, [-1]))
    return tf.reduce_all(tf.math.is_finite(tf.concat([[loss], *sums], 0)))


def is_large(table: keras.Variable, ids: tf.Tensor) -> bool:
    """Whether a table has many more rows than a batch looks up."""
    return bool(table.shape[0] > LARGE * (ids.shape[0] or IDS))


def _all_finite(x: tf.Tensor | tf.IndexedSlices) -> tf.Tensor:
    """Whether all numbers are finite; of a table, those of the rows that have a gradient."""
    values = x.values if isinstance(x, tf.IndexedSlices) else x
    return tf.reduce_all(tf.math.is_finite(values))
