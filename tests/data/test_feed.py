"""Examples on the device: which of them an update takes, whatever was asked for before."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.runs import experiment
from trainer.data.feeds.feed import Resident
from trainer.data.feeds.order import ExampleOrder

LONGEST = 9
CALLS = st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 200)), st.integers(1, LONGEST)))


@lru_cache
def feed() -> Resident:
    declared = experiment()
    data = declared.data.load()
    return Resident(data, ExampleOrder(1, len(data.train), declared.data.batch_size))


@given(CALLS)
def test_a_call_is_passed_its_order_also_after_a_jump(calls: list[tuple[int | None, int]]) -> None:
    """Calls follow one another, are shorter or longer than the last, or go somewhere else."""
    step = 0
    for jump, count in calls:
        step = step if jump is None else jump
        feed_args = np.asarray(feed().args(step, count, LONGEST))
        assert feed_args.shape == (LONGEST, 64)
        np.testing.assert_array_equal(feed_args[:count], feed().order.indices(step, count))
        step += count


def test_another_stream_along_the_same_examples_has_an_order_of_its_own() -> None:
    first = feed()
    first.args(0, 3, 3)
    second = first.in_order(ExampleOrder(2, first.order.examples, 64))
    for one in (first, second):
        found = np.asarray(one.args(3, 3, 3))
        np.testing.assert_array_equal(found, one.order.indices(3, 3))
    assert (first.order.indices(3, 3) != second.order.indices(3, 3)).any()
