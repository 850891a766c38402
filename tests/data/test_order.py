"""The order of the examples."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.feeds.order import Cipher, ExampleOrder

streams = st.builds(
    ExampleOrder,
    seed=st.integers(0, 2**31 - 1),
    examples=st.integers(1, 50),
    batch_size=st.integers(1, 60),
)


@given(streams, st.integers(1, 40))
def test_every_epoch_shows_every_example_once(stream: ExampleOrder, steps: int) -> None:
    row = stream.indices(0, steps).ravel()
    for start in range(0, len(row) - stream.examples + 1, stream.examples):
        assert sorted(row[start : start + stream.examples]) == list(range(stream.examples))


@given(streams, st.integers(0, 1000), st.integers(1, 30), st.integers(1, 30))
def test_reading_in_two_pieces_is_reading_at_once(
    stream: ExampleOrder, step: int, first: int, second: int
) -> None:
    pieces = [stream.indices(step, first), stream.indices(step + first, second)]
    np.testing.assert_array_equal(np.concatenate(pieces), stream.indices(step, first + second))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = ExampleOrder(1, 100, 100).indices(0, 2)
    other = ExampleOrder(2, 100, 100).indices(0, 1)[0]
    assert (first != second).any()
    assert (first != other).any()


def test_a_far_step_needs_no_walk_through_the_steps_before() -> None:
    far = ExampleOrder(1, 10, 4).indices(10**12, 2)
    np.testing.assert_array_equal(far, ExampleOrder(1, 10, 4).indices(10**12 - 1, 3)[1:])


@given(st.integers(1, 3000), st.integers(0, 2**31 - 1), st.integers(0, 100))
def test_a_cipher_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    found = Cipher(seed, epoch, n)(np.arange(n))
    assert sorted(found.tolist()) == list(range(n))


def test_a_cipher_shuffles_as_evenly_as_chance() -> None:
    """Over many keys, each of six orders of three comes up a sixth of the time, give or take 5
    standard deviations; and neighbours part."""
    orders = Counter(tuple(Cipher(1, epoch, 3)(np.arange(3))) for epoch in range(6000))
    assert len(orders) == 6
    assert all(abs(count - 1000) < 5 * np.sqrt(1000 * 5 / 6) for count in orders.values())
    n = 100_000
    found = Cipher(1, 0, n)(np.arange(n))
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 5 / np.sqrt(n)
    assert abs(np.corrcoef(found, np.arange(n))[0, 1]) < 5 / np.sqrt(n)


def test_more_examples_than_a_permutation_holds_are_shown_once_an_epoch_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.data.feeds.order.MOST_PERMUTED", 20)
    monkeypatch.setattr("trainer.data.feeds.order.CIPHER_PIECE", 10)
    stream = ExampleOrder(3, 23, 7)
    row = stream.indices(0, 23).ravel()
    for start in range(0, 161, 23):
        assert sorted(row[start : start + 23].tolist()) == list(range(23))
    assert (row[:23] != row[23:46]).any()
    pieces = [stream.indices(step, 1) for step in range(23)]
    np.testing.assert_array_equal(np.concatenate(pieces).ravel(), row)


def test_ten_billion_examples_need_no_memory() -> None:
    stream = ExampleOrder(1, 10**10, 4)
    far = stream.indices(10**11, 2)
    assert far.max() >= 2**31
    np.testing.assert_array_equal(far, stream.indices(10**11 - 1, 3)[1:])
