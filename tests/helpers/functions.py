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
