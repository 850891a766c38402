"""Products whose gradients are worked out in XLA's order: the same gradients, to a rounding."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.networks import Trained
from trainer.engine.matmul import products

EXAMPLES, INPUTS = 24, 40


def drawn(*shape, dtype=tf.float32):
    return tf.cast(tf.random.stateless_normal(shape, [len(shape), *shape][:2]), dtype)


def barriers(function):
    """How many products XLA is told to leave as they stand, in a traced function and its loops."""
    found, graphs = 0, [function.graph.as_graph_def()]
    for graph in graphs:
        nodes = [*graph.node, *itertools.chain(*(f.node_def for f in graph.library.function))]
        found += sum(node.op == "XlaOptimizationBarrier" for node in nodes)
    return found


@pytest.mark.parametrize("outputs", [1, 2, 10, 16, 17])
@pytest.mark.parametrize("turn_left", [False, True])
@pytest.mark.parametrize("turn_right", [False, True])
def test_gradients_are_those_of_a_tape(outputs, turn_left, turn_right):
    left = drawn(*((INPUTS, EXAMPLES) if turn_left else (EXAMPLES, INPUTS)))
    right = drawn(*((outputs, INPUTS) if turn_right else (INPUTS, outputs)))
    weights = drawn(EXAMPLES, outputs)

    def loss(left, right):
        product = tf.matmul(left, right, transpose_a=turn_left, transpose_b=turn_right)
        return tf.reduce_sum(weights * product)

    @tf.function(jit_compile=True, autograph=False)
    def turned(left, right):
        with products(turned=True):
            found = loss(left, right)
        return tf.gradients(found, [left, right])

    with tf.GradientTape() as tape:
        tape.watch([left, right])
        found = loss(left, right)
    for mine, plain in zip(turned(left, right), tape.gradient(found, [left, right]), strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-5, atol=1e-5)
    narrow = 2 <= outputs <= 16 and not turn_left
    assert barriers(turned.get_concrete_function(left, right)) == 2 * narrow


def test_a_gradient_can_be_differentiated_again():
    left, right = drawn(EXAMPLES, INPUTS), drawn(INPUTS, 3)

    def cubes(left, right):
        return tf.reduce_sum(tf.matmul(left, right) ** 3)

    @tf.function(jit_compile=True, autograph=False)
    def twice(left, right):
        with products(turned=True):
            [slope] = tf.gradients(cubes(left, right), [right])
            return tf.gradients(tf.reduce_sum(slope**2), [left, right])

    with tf.GradientTape() as outer:
        outer.watch([left, right])
        with tf.GradientTape() as inner:
            inner.watch(right)
            found = cubes(left, right)
        total = tf.reduce_sum(inner.gradient(found, right) ** 2)
    for mine, plain in zip(twice(left, right), outer.gradient(total, [left, right]), strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-3)


@pytest.mark.parametrize("dtype", [tf.float64, tf.bfloat16])
def test_what_is_no_float32_is_differentiated_as_ever(dtype):
    left, right = drawn(EXAMPLES, INPUTS, dtype=dtype), drawn(INPUTS, 3, dtype=dtype)

    @tf.function(autograph=False)
    def gradients(turned):
        with products(turned=turned):
            return tf.gradients(tf.matmul(left, right), [left, right])

    for mine, plain in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_array_equal(mine, plain)


@pytest.mark.parametrize(("compiled", "expected"), [("xla", 2), ("graph", 0)])
def test_the_head_of_a_network_is_turned_where_xla_compiles_it(compiled, expected):
    run = Trained("model.hidden=[20]", compiled=compiled)
    run.update(0, 1)
    (compiled_function,) = run.program._compiled.values()
    assert barriers(compiled_function) == expected
