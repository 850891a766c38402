"""Functions that test configs name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def one(steps: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.ones(len(steps))


def tenth(steps: NDArray[np.int64], **ignored: object) -> NDArray[np.float64]:
    return np.full(len(steps), 0.1)


def mean_cross_entropy(model: Any, batch: Any) -> Any:
    import tensorflow as tf

    inputs, labels = batch
    logits = model(inputs, training=True)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def noisy_network(shape: Any, outputs: int) -> Any:
    import keras
    import tensorflow as tf

    class Noisy(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, x: Any) -> Any:
            return x + tf.random.normal(tf.shape(x))

    layers = [keras.layers.Flatten(), Noisy(), keras.layers.Dense(outputs)]
    return keras.Sequential([keras.Input(shape), *layers])


def rows_anew() -> Any:
    """A function that makes a generator, which draws another order each pass; and tests."""
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 4)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(np.int32)

    def examples(epoch: int) -> Any:
        for i in np.random.default_rng(epoch).permutation(120):
            yield x[i], y[i]

    return examples, (x[:40], y[:40])


def endless_pipeline() -> Any:
    """A pipeline of `tf.data` that never ends, whose iterator has a state to save; and tests."""
    import tensorflow as tf

    _, (x, y) = rows_anew()
    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(20, seed=3).repeat(), (x, y)


def sentences() -> Any:
    """Token ids of one to nine steps, and whether they are many."""
    random = np.random.default_rng(1)
    rows = [random.integers(1, 12, n).tolist() for n in random.integers(1, 10, 120)]
    return rows, np.array([len(row) > 4 for row in rows], np.int32)
