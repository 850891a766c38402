"""Layers that take live values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from .dials import Dial
from .keras_internals import all_layers, call_is_replaced, replace_call

_FUSED: ContextVar[bool] = ContextVar("fused", default=False)


@contextmanager
def drawing(*, fused: bool) -> Iterator[None]:
    """Within the block dropout draws its masks in the way that suits XLA, or a plain graph.

    XLA's processors take hundreds of times longer over TensorFlow's Philox, which is what Keras
    draws with, than over Threefry, which plain graphs lack.
    """
    before = _FUSED.set(fused)
    try:
        yield
    finally:
        _FUSED.reset(before)


def dropout(rate: Dial | float, name: str) -> keras.layers.Layer:
    """Keras' dropout at a fixed rate, or ours at a live one; both draw as `drawing` says.

    The first is saved as the layer of Keras that it is.
    """
    if isinstance(rate, Dial):
        return LiveDropout(rate, name=name)
    layer = keras.layers.Dropout(rate, name=name)
    replace_call(layer, partial(_shared, layer))
    return layer


class LiveDropout(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    """Leaves out each input with a live probability while training, and scales up the others.

    What Keras' `Dropout` does at a fixed rate, with the same random numbers but for those under
    XLA. Outside of training it is the identity and needs no dial.
    """

    def __init__(self, rate: Dial, **settings: Any) -> None:
        super().__init__(**settings)
        self._rate = rate
        self.seed_generator = keras.random.SeedGenerator()
        self.supports_masking = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        return _dropped(inputs, self._rate(), self.seed_generator)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape


def share_masks(model: keras.Model) -> None:
    """Lets every dropout of a model draw one mask for the whole batch, whatever the replicas.

    Of several replicas, each draws it all and takes the part that is for its examples. Layers of
    other kinds that draw random numbers can't be asked to.
    """
    for layer in all_layers(model):
        # Those of `dropout` can already.
        if (
            type(layer) is keras.layers.Dropout
            and shares_masks(layer)
            and not call_is_replaced(layer)
        ):
            replace_call(layer, partial(_shared, layer, like_keras=True))


def shares_masks(layer: keras.layers.Layer) -> bool:
    """Whether a layer draws one mask for the whole batch, after `share_masks`."""
    plain = type(layer) is keras.layers.Dropout and layer.noise_shape is None and layer.rate > 0
    return plain or isinstance(layer, LiveDropout)


def _shared(
    layer: keras.layers.Dropout,
    inputs: tf.Tensor,
    training: bool = False,
    *,
    like_keras: bool = False,
) -> tf.Tensor:
    if not training:
        return inputs
    return _dropped(inputs, layer.rate, layer.seed_generator, like_keras=like_keras)


def _dropped(
    inputs: tf.Tensor,
    rate: tf.Tensor | float,
    seed: keras.random.SeedGenerator,
    *,
    like_keras: bool = False,
) -> tf.Tensor:
    """Inputs with a share of them left out, and the others scaled up.

    `like_keras` draws to the letter as Keras does, which in float16 gives other masks.
    """
    shape, context = tf.shape(inputs), tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas > 1:
        here = int(tf.get_static_value(context.replica_id_in_sync_group)) * shape[0]
        shape = tf.concat([shape[:1] * replicas, shape[1:]], 0)
    if _FUSED.get() and not like_keras:
        key = tf.cast(seed.next(), tf.int32)
        drawn = tf.random.stateless_uniform(shape, key, alg="threefry")
    else:
        kind = inputs.dtype if like_keras else tf.float32
        drawn = keras.random.uniform(shape, dtype=kind.name, seed=seed)
    if replicas > 1:
        drawn = drawn[here : here + tf.shape(inputs)[0]]
    return tf.where(drawn >= rate, inputs / tf.cast(1 - rate, inputs.dtype), 0)
