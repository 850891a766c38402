from decimal import Decimal
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schedules.plots.axes import Scale, ticks

numbers = st.floats(-1e6, 1e6).map(lambda number: float(f"{number:.6g}"))
lengths = st.floats(1e-7, 1e6)


@given(numbers, lengths, st.integers(3, 12))
def test_ticks_are_round_and_evenly_spread_and_inside(low, length, about):
    high = low + length
    if length < 1e-9 * max(abs(low), abs(high)) * 1e3:
        return
    marks = ticks(low, high, about)
    slack = 1e-6 * length
    assert all(low - slack <= mark <= high + slack for mark in marks)
    assert about / 2.6 - 1 <= len(marks) <= about + 1
    exact = [Decimal(repr(mark)) for mark in marks]
    gaps = {after - before for before, after in pairwise(exact)}
    assert len(gaps) <= 1
    assert all(gap.normalize().as_tuple().digits in {(1,), (2,), (2, 5), (5,)} for gap in gaps)


@given(st.integers(1, 10**9), st.integers(2, 12))
def test_steps_are_marked_at_whole_numbers(total, about):
    marks = ticks(0, total, about, whole=True)
    assert marks[0] == 0
    assert all(mark == int(mark) for mark in marks)
    assert len(marks) <= about + 1


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9))
def test_every_value_lies_between_the_ends_of_its_scale(values):
    scale = Scale.around(np.array(values), 100.0, 0.0)
    places = scale(np.array(values))
    assert scale.low < scale.high
    assert ((places >= 0) & (places <= 100)).all()


def test_a_scale_takes_no_notice_of_what_is_not_finite():
    assert Scale.around(np.array([1.0, np.inf, np.nan, 3.0]), 0, 1).high < 4
