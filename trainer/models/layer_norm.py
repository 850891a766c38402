"""Layer normalization whose gradient is one formula."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..scheduled.keras_internals import replace_call
from .shortcuts import shortcuts_allowed

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def layer_norm(name: str) -> keras.layers.LayerNormalization:
    """Keras' layer over the last axis, which computes as `shortcuts` says.

    TensorFlow differentiates Keras' formula an operation at a time, and goes over the inputs again
    for each. The results are the same but for how sums are rounded.
    """
    import keras

    layer = keras.layers.LayerNormalization(name=name)
    replace_call(layer, partial(_call, layer))
    return layer


def _call(layer: Any, inputs: tf.Tensor) -> tf.Tensor:
    """What the layer's own `call` gives."""
    import tensorflow as tf

    if not (shortcuts_allowed() and inputs.dtype == tf.float32 == layer.compute_dtype):
        return type(layer).call(layer, inputs)
    gamma, beta = tf.convert_to_tensor(layer.gamma), tf.convert_to_tensor(layer.beta)
    return _standardised(inputs, layer.epsilon) * gamma + beta


def _standardised(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """`(x - mean) / sqrt(variance + epsilon)` over the last axis."""
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is
    def computed(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        factor = tf.math.rsqrt(tf.reduce_mean(centred * centred, -1, keepdims=True) + epsilon)
        y = centred * factor

        def gradient(by: tf.Tensor) -> tf.Tensor:
            along = y * tf.reduce_mean(by * y, -1, keepdims=True)
            return factor * (by - tf.reduce_mean(by, -1, keepdims=True) - along)

        return y, gradient

    return computed(x)
