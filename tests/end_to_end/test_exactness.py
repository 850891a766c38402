"""Every boundary on its own step: against integer arithmetic written a second time, to 10^9 steps.

Python's Fractions decide here in which stair, cycle or part a step is; the curves' own arithmetic
on arrays of ticks is not used.
"""

import math
from fractions import Fraction
from itertools import accumulate, islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules import Clock, load
from schedules.kinds.piecewise import Constant

FAR = 10**9
lengths = st.builds(Fraction, st.integers(1000, 10**7), st.integers(1, 999))
"""Rational lengths from about one step up."""


def steps(length):
    """A length of any denominator as a config writes it."""
    return f"{length} steps"


def beside(boundary):
    """The last step before a boundary, the first one after it, and the next."""
    return [step for step in range(math.ceil(boundary) - 1, math.ceil(boundary) + 2) if step >= 0]


@given(st.data(), lengths, st.sampled_from(["exponential", "natural_exp", "inverse_time"]))
def test_a_stair_begins_at_the_first_step_that_reaches_it(data, T, kind):
    n = data.draw(st.integers(1, min(10**6, FAR // math.ceil(T) + 1)))
    rate = {"exponential": 1 - 2e-6, "natural_exp": 2e-6, "inverse_time": 1.0}[kind]
    value = {
        "exponential": lambda stair: rate**stair,
        "natural_exp": lambda stair: math.exp(-rate * stair),
        "inverse_time": lambda stair: 1 / (1 + stair),
    }[kind]
    curve = load({"kind": kind, "initial_value": 1.0, "decay_steps": steps(T),
                  "decay_rate": rate, "staircase": True})  # fmt: skip
    for step in beside(n * T):
        assert curve(step) == pytest.approx(value(step // T), rel=1e-9)


@given(st.lists(lengths, min_size=1, max_size=6), st.sampled_from(["inclusive", "exclusive"]))
def test_a_piece_ends_with_its_boundary_or_before_it(lengths, boundary):
    ends = list(accumulate(lengths))
    curve = load({"kind": "piecewise_constant", "boundaries": [steps(end) for end in ends],
                  "values": [float(i) for i in range(len(ends) + 1)],
                  "boundary": boundary})  # fmt: skip
    behind = (lambda end, t: end < t) if boundary == "inclusive" else (lambda end, t: end <= t)
    for step in (step for end in ends for step in beside(end)):
        assert curve(step) == sum(behind(end, step) for end in ends)


@given(st.lists(lengths, min_size=1, max_size=6))
def test_a_milestone_counts_from_its_own_step_on(lengths):
    milestones = list(accumulate(lengths))
    curve = load({"kind": "multistep", "initial_value": 1.0, "gamma": 2.0,
                  "milestones": [steps(milestone) for milestone in milestones]})  # fmt: skip
    for step in (step for milestone in milestones for step in beside(milestone)):
        assert curve(step) == 2 ** sum(milestone <= step for milestone in milestones)


@given(lengths, st.integers(1, 50))
def test_a_row_of_a_table_holds_for_every(every, rows):
    curve = load({"kind": "table", "values": [float(i) for i in range(rows)],
                  "every": steps(every)})  # fmt: skip
    for step in (step for row in range(1, rows + 2) for step in beside(row * every)):
        assert curve(step) == min(step // every, rows - 1)


@given(st.data(), lengths)
def test_a_polynomial_cycle_ends_on_its_multiple_and_restarts_after_it(data, T):
    n = data.draw(st.integers(1, FAR // math.ceil(T) + 1))
    curve = load({"kind": "polynomial", "initial_value": 1.0, "end_value": 0.0,
                  "decay_steps": steps(T), "cycle": True})  # fmt: skip
    for step in beside(n * T):
        grown = T * max(1, math.ceil(step / T))
        assert curve(step) == pytest.approx(float(1 - step / grown), rel=1e-9, abs=1e-15)


def cycles(first, growth, far=FAR):
    """Where each cycle starts and how long it lasts, up to `far`."""
    start, length = Fraction(0), first
    while start <= far and length > Fraction(1, 10**6):
        yield start, length
        start, length = start + length, length * growth


@settings(max_examples=40)
@given(lengths.filter(lambda first: first > 20),
       st.sampled_from(["1", "1.1", "1.25", "1.3", "2", "3", "10", "0.5", "0.9"]))  # fmt: skip
def test_every_restart_is_met(first, t_mul):
    curve = load({"kind": "cosine_restarts", "initial_value": 1.0, "alpha": 0.25, "m_mul": 0.9,
                  "first_decay_steps": steps(first), "t_mul": float(t_mul)})  # fmt: skip
    for i, (start, length) in enumerate(islice(cycles(first, Fraction(t_mul)), 150)):
        for step in range(math.ceil(start), min(math.ceil(start) + 2, math.ceil(start + length))):
            wave = (1 + math.cos(math.pi * ((step - start) / length))) / 2
            assert curve(step) == pytest.approx(0.75 * 0.9**i * wave + 0.25, rel=1e-9)


@given(lengths, lengths, st.data())
def test_a_triangle_turns_at_its_peak_and_at_its_foot(up, down, data):
    n = data.draw(st.integers(0, FAR // math.ceil(up + down) + 1))
    curve = load({"kind": "cyclic", "base_value": 1.0, "max_value": 2.0,
                  "step_size_up": steps(up), "step_size_down": steps(down)})  # fmt: skip
    start = n * (up + down)
    for step in beside(start) + beside(start + up):
        since = step % (up + down)
        height = since / up if since <= up else (up + down - since) / down
        assert curve(step) == pytest.approx(float(1 + height), rel=1e-9)


@given(lengths.filter(lambda T: T > 40), st.sampled_from(["0.1", "0.3", "0.45"]), st.booleans())
def test_the_phases_of_one_cycle_meet_where_torch_puts_them(T, pct, three):
    curve = load({"kind": "one_cycle", "max_value": 1.0, "decay_steps": steps(T),
                  "pct_start": float(pct), "anneal": "linear", "three_phase": three,
                  "div_factor": 4.0, "final_div_factor": 8.0})  # fmt: skip
    points = [(Fraction(0), 1 / 4), (Fraction(pct) * T - 1, 1.0), (T - 1, 1 / 32)]
    if three:
        points.insert(2, (2 * Fraction(pct) * T - 2, 1 / 4))
    for (start, v0), (end, v1) in pairwise(points):
        for step in (step for step in beside(end) if start <= step <= end):
            share = float((step - start) / (end - start))
            assert curve(step) == pytest.approx(v0 + (v1 - v0) * share, rel=1e-9)
    assert curve(math.ceil(T)) == curve(FAR) == 1 / 32


@given(st.lists(lengths, min_size=1, max_size=5))
def test_a_point_has_its_own_value_exactly(gaps):
    moments = list(accumulate(gaps))
    values = [0.1 * (i + 1) for i in range(len(moments))]
    points = [[steps(math.ceil(moment)), value]
              for moment, value in zip(moments, values, strict=True)]  # fmt: skip
    ends = [math.ceil(moment) for moment in moments]
    if len(set(ends)) < len(ends):
        return
    for mode in ("linear", "cosine"):
        curve = load({"kind": "interpolate", "points": points, "mode": mode})
        assert curve(ends).tolist() == values
        assert (curve(0), curve(FAR)) == (values[0], values[-1])


@given(st.lists(lengths, min_size=2, max_size=6))
def test_a_part_begins_with_the_first_step_that_reaches_it(lengths):
    starts = [Fraction(0), *accumulate(lengths)]
    parts = {f"part{i}": {"kind": "constant", "value": i, "length": steps(length)}
             for i, length in enumerate(lengths)}  # fmt: skip
    curve = load({"kind": "sequence", "parts": parts})
    for step in (step for start in starts for step in beside(start)):
        reached = sum(start <= step for start in starts[:-1]) - 1
        assert curve(step) == reached


@settings(max_examples=40)
@given(lengths.filter(lambda length: length > 20), st.integers(2, 7),
       st.sampled_from(["1", "1.1", "2", "0.5"]), st.sampled_from([None, 1, 5]))  # fmt: skip
def test_what_is_repeated_runs_through_its_whole_length_each_time(length, rows, stretch, times):
    inner = {"kind": "table", "values": [float(i) for i in range(rows)],
             "every": steps(length / rows)}  # fmt: skip
    curve = load({"kind": "repeat", "schedule": inner, "length": steps(length), "times": times,
                  "stretch": float(stretch)})  # fmt: skip
    for start, lasts in islice(cycles(length, Fraction(stretch)), times or 20):
        for row in range(rows):
            for step in beside(start + lasts * row / rows):
                if start <= step < start + lasts:
                    assert curve(step) == (step - start) // (lasts / rows)
    if times:
        assert curve(FAR) == rows - 1


@given(lengths, lengths)
def test_a_delayed_schedule_begins_at_its_own_zero(wait, T):
    curve = load({"kind": "delay", "length": steps(wait), "value": -1.0, "schedule":
                  {"kind": "inverse_time", "initial_value": 1.0, "decay_rate": 1.0,
                   "decay_steps": steps(T), "staircase": True}})  # fmt: skip
    for step in beside(wait) + beside(wait + T) + beside(wait + 1000 * T):
        expected = -1 if step < wait else float(1 / (1 + (step - wait) // T))
        assert curve(step) == pytest.approx(expected, rel=1e-12)


def test_steps_that_a_float32_would_merge_stay_apart():
    curve = load({"kind": "linear", "initial_value": 0.0, "end_value": 1.0}, Clock(FAR))
    far = np.arange(FAR - 1000, FAR + 1)
    assert len(set(curve(far).tolist())) == len(far)
    assert curve(FAR) == 1.0


@pytest.mark.parametrize(
    ("first", "t_mul", "restarts"),
    [
        (1000, 1.1, [1000, 2100, 3310]),
        (1000, 1.3, [1000, 2300, 3990]),
        (100, 0.5, [100, 150, 175]),
    ],
)
def test_restarts_that_other_libraries_miss(first, t_mul, restarts):
    curve = load({"kind": "cosine_restarts", "initial_value": 0.1, "first_decay_steps": first,
                  "t_mul": t_mul})  # fmt: skip
    assert curve(restarts).tolist() == [0.1] * len(restarts)
    assert curve([restart - 1 for restart in restarts]).max() < 0.01


def test_cycles_that_pile_up_end_where_they_would_be_shorter_than_nothing():
    curve = load({"kind": "cosine_restarts", "initial_value": 0.1, "first_decay_steps": 100,
                  "t_mul": 0.5, "alpha": 0.2})  # fmt: skip
    assert curve([200, 201, FAR]).tolist() == [0.1 * 0.2] * 3
    assert np.isfinite(curve(range(300))).all()


def test_a_thousand_rounds_that_each_last_a_thousandth_longer_are_still_exact():
    waves = {"kind": "cosine_restarts", "initial_value": 1.0, "first_decay_steps": 2.5}
    curve = load({"kind": "repeat", "length": 10, "stretch": 1.001, "schedule": waves})
    growth, i = Fraction(1001, 1000), 1500
    start = 10 * (growth**i - 1) / (growth - 1)
    step = math.ceil(start)
    within = (step - start) / growth**i / Fraction(5, 2)
    assert curve(step) == pytest.approx((1 + math.cos(math.pi * within)) / 2, rel=1e-12)


def test_rounds_are_placed_by_numbers_of_bounded_size_however_many_there_are(monkeypatch):
    sizes = []

    def at(self, t):
        sizes.append(max(t.per, *t.ticks).bit_length())
        return np.zeros(len(t))

    monkeypatch.setattr(Constant, "at", at)
    inner = {"kind": "constant", "value": 0.0}
    curve = load({"kind": "repeat", "length": 10, "stretch": 1.001, "schedule": inner})
    curve(range(10**6, 10**6 + 2))  # in round 4620, whose exact start has 46,000 binary digits
    assert 0 < max(sizes) < 4000


@pytest.mark.parametrize("t_mul", ["1.001", "0.998"])
def test_restarts_are_met_whose_exact_positions_take_thousands_of_digits(t_mul):
    first, growth = Fraction(1000, 3), Fraction(t_mul)
    curve = load({"kind": "cosine_restarts", "initial_value": 1.0, "t_mul": float(t_mul),
                  "first_decay_steps": steps(first)})  # fmt: skip
    for i in range(90, 500, 7):
        start = first * (growth**i - 1) / (growth - 1)
        within = float((math.ceil(start) - start) / (first * growth**i))
        wave = (1 + math.cos(math.pi * within)) / 2
        assert curve(math.ceil(start)) == pytest.approx(wave, rel=1e-12)
        assert curve(math.ceil(start) - 1) < 0.001
