"""Functions that the options `python`, `step` and `custom` call until they name the user's own.

They may be run without `allow_code`. None imports TensorFlow before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def logistic(
    steps: NDArray[np.int64], *, initial_value: float, middle: float, width: float
) -> NDArray[np.float64]:
    """`initial_value / (1 + exp((t - middle) / width))`: an example for `custom`."""
    return np.asarray(initial_value / 2 * (1 - np.tanh((steps - middle) / (2 * width))))


def moons(examples: int = 1000, noise: float = 0.1, seed: int = 0) -> tuple[Any, Any]:
    """Two half circles that reach into one another: an example for `python`.

    As scikit-learn's `make_moons`.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    labels = np.arange(examples) % 2
    angle = np.pi * random.random(examples)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inputs = np.where(labels[:, None] == 1, [1.0, 0.5] - upper, upper)
    return inputs + noise * random.standard_normal((examples, 2)), labels


def perceptron(shape: tuple[int, ...], outputs: int, *, width: int = 64) -> keras.Model:
    """One hidden layer: an example for `model=python`."""
    import keras
    from keras import layers

    flow = [layers.Flatten(), layers.Dense(width, "relu"), layers.Dense(outputs)]
    return keras.Sequential([keras.Input(shape), *flow])


def brier(outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The squared distance of a softmax from the label, Brier's score: an example for `python`."""
    import tensorflow as tf

    missed = tf.nn.softmax(outputs) - tf.one_hot(labels, outputs.shape[-1])
    return tf.reduce_sum(tf.square(missed), axis=-1)


def small_logits(model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """An example for `step`: cross-entropy, and a hundredth of the logits' mean square."""
    import tensorflow as tf

    inputs, labels = batch
    logits = model(inputs, training=True)
    plain = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return plain + 0.01 * tf.reduce_mean(tf.square(logits), axis=-1)
