"""What is read of a network's variables: it stays as it was read, and is no copy."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.networks import Trained
from trainer.engine.network_state import value_of


@pytest.mark.parametrize("compiled", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_a_state_stays_as_it_was_read_whatever_is_assigned_later(compiled: str) -> None:
    run = Trained("optimizer=adam", "ema={momentum: 0.5}", compiled=compiled)
    run.update(0, 2)
    state = run.network.state()
    copies = {name: array.copy() for name, array in state.items()}
    run.update(2, 3)
    run.network.restore(state)
    run.update(2, 3)
    for name, array in state.items():
        np.testing.assert_array_equal(array, copies[name])
    assert (run.network.state()["global_step"], state["global_step"]) == (5, 2)


def test_a_table_whose_rows_change_stays_as_it_was_read() -> None:
    table = tf.Variable(tf.zeros([4, 2]))
    for times in (1, 2):
        before = value_of(table)
        expected = before.copy()
        table.scatter_add(tf.IndexedSlices(tf.ones([1, 2]), tf.constant([times])))
        np.testing.assert_array_equal(before, expected)
    assert value_of(table).tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]


def test_reading_a_large_table_takes_no_memory_of_numpy() -> None:
    table = tf.Variable(tf.zeros([2**18, 4]))
    tracemalloc.start()
    try:
        value = value_of(table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < value.nbytes / 100
