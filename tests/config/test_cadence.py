"""When logging, evaluating and saving are due."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from trainer.config.cadence import Cadence

lengths = st.fractions(Fraction(1, 10), 30, max_denominator=12)


@given(lengths, st.integers(1, 200))
def test_it_is_due_at_the_first_step_after_each_multiple_and_at_the_end(
    every: Fraction, end: int
) -> None:
    passed = {n for n in range(1, end) if int(n / every) > int((n - 1) / every)}
    assert {n for n in range(1, end + 1) if Cadence(every, end).due(n)} == passed | {end}


@given(lengths, st.integers(1, 200), st.data())
def test_next_is_the_first_due_step_after(every: Fraction, end: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, end - 1))
    cadence = Cadence(every, end)
    following = cadence.next(step)
    assert cadence.due(following)
    assert not any(cadence.due(n) for n in range(step + 1, following))


@given(lengths, st.integers(1, 200), st.data())
def test_within_gives_the_due_steps_of_a_stretch(
    every: Fraction, end: int, data: st.DataObject
) -> None:
    after = data.draw(st.integers(0, end))
    until = data.draw(st.integers(after, end))
    cadence = Cadence(every, end)
    due = [n for n in range(after + 1, until + 1) if cadence.due(n)]
    assert cadence.within(after, until) == due
