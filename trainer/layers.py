"""Layers that take live values."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from .live import Dial


def dropout(rate: Dial | float, name: str) -> keras.layers.Layer:
    """Keras' dropout at a fixed rate, or ours at a live one."""
    if isinstance(rate, Dial):
        return LiveDropout(rate, name=name)
    return keras.layers.Dropout(rate, name=name)


class LiveDropout(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    """Leaves out each input with a live probability while training, and scales up the others.

    What Keras' `Dropout` does at a fixed rate, with the same random numbers. Outside of training
    it is the identity and needs no dial.
    """

    def __init__(self, rate: Dial, **settings: Any) -> None:
        super().__init__(**settings)
        self._rate = rate
        self.seed_generator = keras.random.SeedGenerator()
        self.supports_masking = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        rate = tf.cast(self._rate(), inputs.dtype)
        drawn = keras.random.uniform(tf.shape(inputs), dtype=inputs.dtype, seed=self.seed_generator)
        return tf.where(drawn >= rate, inputs / (1 - rate), 0)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape
