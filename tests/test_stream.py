"""The order of the examples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.stream import Stream

streams = st.builds(
    Stream,
    seed=st.integers(0, 2**31 - 1),
    examples=st.integers(1, 50),
    batch_size=st.integers(1, 60),
)


@given(streams, st.integers(1, 40))
def test_every_epoch_shows_every_example_once(stream: Stream, steps: int) -> None:
    row = stream.indices(0, steps).ravel()
    for start in range(0, len(row) - stream.examples + 1, stream.examples):
        assert sorted(row[start : start + stream.examples]) == list(range(stream.examples))


@given(streams, st.integers(0, 1000), st.integers(1, 30), st.integers(1, 30))
def test_reading_in_two_pieces_is_reading_at_once(
    stream: Stream, step: int, first: int, second: int
) -> None:
    pieces = [stream.indices(step, first), stream.indices(step + first, second)]
    np.testing.assert_array_equal(np.concatenate(pieces), stream.indices(step, first + second))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = Stream(1, 100, 100).indices(0, 2)
    other = Stream(2, 100, 100).indices(0, 1)[0]
    assert (first != second).any()
    assert (first != other).any()


def test_a_far_step_needs_no_walk_through_the_steps_before() -> None:
    far = Stream(1, 10, 4).indices(10**12, 2)
    np.testing.assert_array_equal(far, Stream(1, 10, 4).indices(10**12 - 1, 3)[1:])
