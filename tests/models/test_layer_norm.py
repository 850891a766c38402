"""Layer normalization whose gradient is one formula, beside Keras' own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.models.layer_norm import layer_norm
from trainer.models.shortcuts import shortcuts

X = np.random.default_rng(0).normal(2, 3, (4, 5, 6)).astype(np.float32)


def results(layer: Any, *, allowed: bool) -> list[NDArray[np.float32]]:
    """What a layer gives, the gradients of a sum of it, and those of the sum of their squares."""
    weights = [weight.value for weight in layer.trainable_weights]

    def worked_out(x: tf.Tensor) -> list[tf.Tensor]:
        with shortcuts(allowed=allowed):
            given = layer(x)
        signs = tf.reshape(tf.cos(tf.range(X.size, dtype=tf.float32)), X.shape)
        first = tf.gradients(tf.reduce_sum(given * signs), [x, *weights])
        return [given, *first, *tf.gradients(tf.reduce_sum(first[0] ** 2), [x, weights[0]])]

    compiled = tf.function(worked_out, autograph=False)
    return [np.asarray(tf.convert_to_tensor(each)) for each in compiled(tf.constant(X))]


def test_results_and_gradients_are_those_of_keras_and_it_is_saved_as_its_layer() -> None:
    layer = layer_norm("norm")
    layer.build((None, 5, 6))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(size=w.shape) for w in layer.get_weights()])
    found, expected = (results(layer, allowed=allowed) for allowed in (True, False))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is keras.layers.LayerNormalization
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(X), layer(X))
