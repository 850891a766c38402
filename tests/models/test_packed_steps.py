"""Masked recurrent layers without the steps that a mask leaves out, beside Keras' own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from trainer.models.packed_steps import PackedSteps, pack
from trainer.models.shortcuts import shortcuts

CELLS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple": layers.SimpleRNN}
BATCH, TIME, WIDTH, UNITS = 5, 7, 3, 4
GAPS = np.random.default_rng(1).random((BATCH, TIME)) < 0.5
MASKS = {
    "filled at the end": np.arange(TIME) < np.array([7, 3, 1, 0, 5])[:, None],
    "with gaps": GAPS,
    "whole": np.ones((BATCH, TIME), bool),
    "nothing": np.zeros((BATCH, TIME), bool),
}
Results = Callable[[NDArray[np.bool_]], list[NDArray[np.float32]]]


def made(cell: str, *, both: bool, by_step: bool) -> Any:
    """A layer with weights of all signs, its biases too, that `shortcuts` concerns."""
    layer = CELLS[cell](UNITS, return_sequences=by_step)
    whole = layers.Bidirectional(layer) if both else layer
    whole.build((None, TIME, WIDTH))
    random = np.random.default_rng(2)
    whole.set_weights([random.normal(size=w.shape) / 2 for w in whole.get_weights()])
    for way in (whole.forward_layer, whole.backward_layer) if both else (layer,):
        pack(way, cell)
    return whole


def results(stack: list[Any], *, packed: bool, again: bool = False) -> Results:
    """What layers give by a mask, and the gradients by inputs and weights of a sum of it.

    If it is `again`, the gradients of the sum of the squares of these.
    """
    x = np.random.default_rng(0).normal(size=(BATCH, TIME, WIDTH))
    inputs = tf.constant(x, tf.float32)
    weights = [weight.value for layer in stack for weight in layer.trainable_weights]

    def worked_out(inputs: tf.Tensor, mask: tf.Tensor) -> list[tf.Tensor]:
        with shortcuts(allowed=packed):
            given = [layer(inputs, mask=mask, training=True) for layer in stack]
        flat = tf.concat([tf.reshape(each, [-1]) for each in given], 0)
        signs = tf.cos(tf.range(tf.size(flat), dtype=tf.float32))
        found = tf.gradients(tf.reduce_sum(flat * signs), [inputs, *weights])
        if again:
            squares = tf.add_n([tf.reduce_sum(gradient**2) for gradient in found])
            found = tf.gradients(squares, [inputs, *weights])
        return [*given, *found]

    # Of sequences of any length, as buckets have them.
    signature = [tf.TensorSpec([None, None, WIDTH]), tf.TensorSpec([None, None], tf.bool)]
    compiled = tf.function(worked_out, input_signature=signature, autograph=False)
    return lambda mask: [np.asarray(x) for x in compiled(inputs, tf.constant(mask))]


@pytest.mark.parametrize("cell", ["lstm", "gru", pytest.param("simple", marks=pytest.mark.slow)])
def test_results_and_gradients_are_those_of_keras_whatever_is_masked(cell: str) -> None:
    stack = [made(cell, both=True, by_step=True)]
    packed, plain = (results(stack, packed=packed) for packed in (True, False))
    for name, mask in MASKS.items():
        for ours, theirs in zip(packed(mask), plain(mask), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_gradients_are_those_of_keras(cell: str) -> None:
    stack = [made(cell, both=False, by_step=by_step) for by_step in (True, False)]
    packed, plain = (results(stack, packed=packed, again=True) for packed in (True, False))
    for ours, theirs in zip(packed(GAPS), plain(GAPS), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backwards", [False, True])
def test_only_steps_that_count_are_computed_however_much_is_filled_up(backwards: bool) -> None:
    for filling in (0, 50):
        mask = np.pad(GAPS, [[0, 0], [0, filling]])
        steps = PackedSteps.of(tf.constant(mask), backwards=backwards)
        assert sorted(np.asarray(steps.rows)) == np.flatnonzero(mask).tolist()
        assert len(steps.sizes) == mask.sum(axis=1).max()


def test_without_a_mask_and_outside_of_training_a_layer_is_keras_to_the_bit() -> None:
    layer = made("lstm", both=False, by_step=True)
    plain = layers.LSTM(UNITS, return_sequences=True)
    plain.build((None, TIME, WIDTH))
    plain.set_weights(layer.get_weights())
    x = np.random.default_rng(0).normal(size=(BATCH, TIME, WIDTH)).astype(np.float32)
    for given in ({"training": True}, {"mask": tf.constant(GAPS)}):
        with shortcuts(allowed=True):
            found = layer(x, **given)
        np.testing.assert_array_equal(found, plain(x, **given))


def test_a_layer_is_saved_as_the_layer_of_keras() -> None:
    layer = made("gru", both=True, by_step=False)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is layers.Bidirectional
    assert "call" not in vars(again.forward_layer)
