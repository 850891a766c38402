"""Attention whose projections are one product, beside Keras' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from trainer.models.self_attention import join_projections
from trainer.models.shortcuts import shortcuts

BATCH, TIME, WIDTH, HEADS = 3, 5, 6, 2
IS_TOKEN = np.arange(TIME) < np.array([5, 2, 0])[:, None]


def made() -> Any:
    """A layer with weights of all signs, its biases too."""
    layer = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
    join_projections(layer)
    layer.build((None, TIME, WIDTH), (None, TIME, WIDTH))
    random = np.random.default_rng(2)
    layer.set_weights([random.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def results(
    layer: Any, asked: dict[str, Any], time: int | None, *, allowed: bool
) -> list[NDArray[np.float32]]:
    """What a layer gives, and the gradients by inputs and weights of a sum of it.

    It is traced for sequences of so much `time`, or of any.
    """
    inputs = tf.constant(np.random.default_rng(0).normal(size=(BATCH, TIME, WIDTH)), tf.float32)
    weights = [weight.value for weight in layer.trainable_weights]

    def worked_out(x: tf.Tensor) -> list[tf.Tensor]:
        with shortcuts(allowed=allowed):
            given = layer(x, x, training=True, **asked)
        signs = tf.cos(tf.range(BATCH * TIME * WIDTH, dtype=tf.float32))
        # As a network does, nothing goes by what stands in the place of filling.
        kept = tf.reshape(given, [BATCH, TIME, WIDTH]) * IS_TOKEN[..., None]
        return [kept, *tf.gradients(tf.reduce_sum(tf.reshape(kept, [-1]) * signs), [x, *weights])]

    signature = [tf.TensorSpec([None, time, WIDTH])]
    compiled = tf.function(worked_out, input_signature=signature, autograph=False)
    return [np.asarray(tf.convert_to_tensor(x)) for x in compiled(inputs)]


@pytest.mark.parametrize(
    ("masked", "causal", "time"), [(False, False, TIME), (True, False, None), (True, True, None)]
)
def test_results_and_gradients_are_those_of_keras(
    masked: bool, causal: bool, time: int | None
) -> None:
    asked: dict[str, Any] = {"use_causal_mask": causal}
    if masked:
        asked["attention_mask"] = tf.constant(IS_TOKEN[:, None])
    layer = made()
    found, expected = (results(layer, asked, time, allowed=allowed) for allowed in (True, False))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_sequence_needs_one_product_for_its_projections_and_one_for_the_output() -> None:
    layer = made()

    def given(x: tf.Tensor) -> tf.Tensor:
        with shortcuts(allowed=True):
            return layer(x, x, training=True)

    signature = [tf.TensorSpec([None, TIME, WIDTH])]
    traced = tf.function(given, signature, autograph=False).get_concrete_function()
    kinds = [each.type for each in traced.graph.get_operations()]
    assert (kinds.count("MatMul"), kinds.count("BatchMatMulV2"), kinds.count("Einsum")) == (2, 2, 0)


def test_a_layer_of_other_inputs_is_keras_to_the_bit() -> None:
    layer, plain = made(), layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
    plain.build((None, TIME, WIDTH), (None, TIME, WIDTH))
    plain.set_weights(layer.get_weights())
    x, y = np.random.default_rng(0).normal(size=(2, BATCH, TIME, WIDTH)).astype(np.float32)
    with shortcuts(allowed=True):
        found = layer(x, y, training=True)
    np.testing.assert_array_equal(found, plain(x, y, training=True))
