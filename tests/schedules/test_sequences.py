"""Schedules made of schedules: each part on its own clock, and the algebra that must hold."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import Clock, Curve, Refused, load
from schedules.kinds.sequences import Wrapped

CLOCK = Clock(1000, batch_size=10, examples_per_epoch=1000)

values = st.floats(0.001, 1.0)
shapes = st.one_of(
    st.builds(lambda v: {"kind": "constant", "value": v}, values),
    st.builds(lambda v, e: {"kind": "linear", "initial_value": v, "end_value": e}, values, values),
    st.builds(lambda v: {"kind": "cosine", "initial_value": v, "decay_steps": "50%"}, values),
    st.builds(
        lambda v, n: {"kind": "exponential", "initial_value": v, "decay_steps": n,
                      "decay_rate": 0.9, "staircase": True},
        values,
        st.sampled_from([7, "1 epoch", "10%", "1/3 epoch"]),
    ),
    st.builds(
        lambda v, m: {"kind": "cosine_restarts", "initial_value": v, "first_decay_steps": "13%",
                      "t_mul": m},
        values,
        st.sampled_from([0.7, 1.0, 1.1, 2.0]),
    ),
)  # fmt: skip
steps = st.lists(st.integers(0, 1200), min_size=1, max_size=20)


def linear(v0, end, **more):
    return {"kind": "linear", "initial_value": v0, "end_value": end, **more}


def wrapped(schedule, clock=CLOCK, **around):
    return Curve(Wrapped.declared({"schedule": schedule, **around}), clock)


@given(shapes, shapes, st.integers(1, 999), steps)
def test_a_part_starts_at_its_own_zero_and_sees_its_own_span(first, second, length, steps):
    parts = {"first": {**first, "length": length}, "second": second}
    curve = load({"kind": "sequence", "parts": parts}, CLOCK)
    alone = load(second, Clock(1000 - length, 10, 1000))
    assert curve([length + step for step in steps]).tolist() == alone(steps).tolist()


@given(shapes, st.integers(1, 50), st.integers(0, 20), steps)
def test_a_repeated_curve_is_the_curve_whole_lengths_later(inner, length, n, steps):
    curve = load({"kind": "repeat", "schedule": inner, "length": length}, CLOCK)
    within = [step % length for step in steps]
    later = [n * length + step for step in within]
    alone = load(inner, Clock(length, 10, 1000))(within)
    assert curve(later).tolist() == curve(within).tolist() == alone.tolist()


@given(values, st.sampled_from([0.5, 1.0, 1.1, 2.0]), st.sampled_from([0.5, 1.0]), steps)
def test_repeating_a_cosine_is_restarting_it(v0, stretch, scale, steps):
    cosine = {"kind": "cosine", "initial_value": v0}
    repeated = {"kind": "repeat", "schedule": cosine, "length": 100, "stretch": stretch,
                "scale": scale}  # fmt: skip
    restarted = {"kind": "cosine_restarts", "initial_value": v0, "first_decay_steps": 100,
                 "t_mul": stretch, "m_mul": scale}  # fmt: skip
    np.testing.assert_allclose(load(repeated)(steps), load(restarted)(steps), rtol=1e-9, atol=1e-15)


@given(shapes, st.floats(-2, 2), steps)
def test_scale_scales(inner, factor, steps):
    scaled = load({"kind": "scale", "schedule": inner, "factor": factor}, CLOCK)
    assert scaled(steps).tolist() == (factor * load(inner, CLOCK)(steps)).tolist()


@given(shapes, shapes, steps)
def test_combinations_are_numpys(one, other, steps):
    a, b = load(one, CLOCK)(steps), load(other, CLOCK)(steps)
    combined = {"product": a * b, "sum": a + b, "minimum": np.fmin(a, b), "maximum": np.fmax(a, b)}
    for kind, expected in combined.items():
        curve = load({"kind": kind, "schedules": [one, other]}, CLOCK)
        assert curve(steps).tolist() == expected.tolist()


@given(shapes, steps)
def test_clip_keeps_within_bounds_and_changes_nothing_else(inner, steps):
    clipped = load({"kind": "clip", "schedule": inner, "min_value": 0.1, "max_value": 0.5}, CLOCK)
    expected = [min(max(value, 0.1), 0.5) for value in load(inner, CLOCK)(steps)]
    assert clipped(steps).tolist() == expected


@given(shapes, st.integers(1, 999), steps)
def test_a_delay_is_a_sequence_with_a_constant(inner, wait, steps):
    delayed = {"kind": "delay", "schedule": inner, "length": wait, "value": 0.3}
    parts = {"wait": {"kind": "constant", "value": 0.3, "length": wait}, "then": inner}
    in_sequence = load({"kind": "sequence", "parts": parts}, CLOCK)
    assert load(delayed, CLOCK)(steps).tolist() == in_sequence(steps).tolist()


def test_per_cent_in_a_part_are_of_the_part():
    parts = {"wait": {"kind": "constant", "value": 1.0, "length": "20%"},
             "fall": linear(1.0, 0.0, decay_steps="50%", length="40%"),
             "rest": {"kind": "constant", "value": 7.0}}  # fmt: skip
    curve = load({"kind": "sequence", "parts": parts}, CLOCK)
    assert curve([199, 200, 300, 400, 599, 600]).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0, 7.0]


def test_a_part_may_begin_between_two_steps():
    parts = {"warmup": linear(0.0, 1.0, length="1/3 epoch"), "main": linear(1.0, 0.0)}
    curve = load({"kind": "sequence", "parts": parts}, CLOCK)
    start = Fraction(100, 3)
    assert curve(33) == pytest.approx(float(33 / start), rel=1e-15)
    assert curve(34) == pytest.approx(float(1 - (34 - start) / (1000 - start)), rel=1e-15)


def test_the_open_part_takes_what_the_others_leave_wherever_it_stands():
    for name in ("a", "b", "c"):
        lengths = {"a": 100, "b": 200, "c": 700}
        parts = {part: {"kind": "constant", "value": value} for value, part in enumerate("abc")}
        for part in parts:
            if part != name:
                parts[part]["length"] = lengths[part]
        curve = load({"kind": "sequence", "parts": parts}, CLOCK)
        assert curve([0, 99, 100, 299, 300, 999, 5000]).tolist() == [0, 0, 1, 1, 2, 2, 2]


def test_after_the_end_the_last_part_goes_on():
    parts = {"a": {"kind": "constant", "value": 1.0, "length": 10},
             "b": linear(1.0, 0.0, decay_steps=100, length=10)}  # fmt: skip
    assert load({"kind": "sequence", "parts": parts}, CLOCK)(60) == 0.5


def test_a_kind_with_a_length_of_its_own_is_a_part_in_the_long_form():
    teeth = {"kind": "repeat", "schedule": linear(1.0, 0.0), "length": 4}
    parts = {"teeth": {"schedule": teeth, "length": 6}, "rest": {"kind": "constant", "value": 9.0}}
    curve = load({"kind": "sequence", "parts": parts}, CLOCK)
    assert curve(range(7)).tolist() == [1.0, 0.75, 0.5, 0.25, 1.0, 0.75, 9.0]
    flat = {"head": {"kind": "constant", "value": 9.0, "length": 2}, "teeth": teeth}
    assert load({"kind": "sequence", "parts": flat}, CLOCK)([2, 3, 6]).tolist() == [1.0, 0.75, 1.0]


def test_everything_nests():
    inner = {"kind": "sequence", "parts": {"up": linear(0.0, 1.0, length="50%"),
                                           "down": linear(1.0, 0.0)}}  # fmt: skip
    noisy = {"kind": "noise", "std": 0.0, "schedule": inner}
    outer = {"kind": "sequence", "parts": {
        "wait": {"kind": "constant", "value": 5.0, "length": 200},
        "hills": {"kind": "repeat", "schedule": {"kind": "scale", "factor": 2.0, "schedule": noisy},
                  "length": 400}}}  # fmt: skip
    curve = load(outer, CLOCK)
    assert curve([0, 199, 200, 300, 400, 500, 600, 800]).tolist() == [5, 5, 0, 1, 2, 1, 0, 2]


@given(shapes, steps)
def test_wrapped_in_nothing_a_schedule_is_itself_to_the_last_bit(inner, steps):
    assert wrapped(inner)(steps).tolist() == load(inner, CLOCK)(steps).tolist()


def test_a_warmup_leads_up_to_the_first_value_and_a_cooldown_down_from_the_last():
    curve = wrapped(
        linear(2.0, 1.0), warmup=linear(0.0, 1.0, length=100), cooldown=linear(1.0, 0.0, length=200)
    )
    found = curve([0, 50, 100, 450, 799, 800, 900, 1000, 2000])
    expected = [0.0, 1.0, 2.0, 1.5, 2 - 699 / 700, 1.0, 0.5, 0.0, 0.0]
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_a_warmup_alone_leaves_the_schedule_the_rest_of_the_run():
    curve = wrapped({"kind": "cosine", "initial_value": 0.1}, warmup=linear(0.0, 1.0, length="10%"))
    alone = load({"kind": "cosine", "initial_value": 0.1}, Clock(900, 10, 1000))
    assert curve(range(100, 1300)).tolist() == alone(range(1200)).tolist()


def test_a_cooldown_goes_down_from_where_a_plateau_has_come_to():
    plateau = {"kind": "plateau", "initial_value": 1.0, "factor": 0.5, "patience": 0}
    curve = wrapped(plateau, warmup=linear(0.0, 1.0, length=100),
                    cooldown=linear(1.0, 0.0, length=100))  # fmt: skip
    curve.observe(0.5, 50)  # during the warmup the plateau is not in force
    curve.observe(0.5, 200)
    assert curve(200) == 1.0
    curve.observe(0.5, 300)
    assert (curve(300), curve(950)) == (0.5, 0.25)
    curve.observe(0.5, 950)
    assert curve(950) == 0.25


@pytest.mark.parametrize(
    ("around", "path"),
    [
        ({"warmup": linear(0.0, 1.0)}, "warmup.length"),
        ({"cooldown": linear(1.0, 0.0)}, "cooldown.length"),
        ({"warmup": linear(0.0, True, length=5)}, "warmup.end_value"),
        ({"warmup": linear(0.0, 1.0, length="2000 steps")}, "warmup.length"),
        ({"warmup": linear(0.0, 1.0, length=5), "cooldown": {"kind": "cosin"}}, "cooldown.kind"),
        ({"schedule": linear("x", 1.0)}, "schedule.initial_value"),
        ({"schedule": linear(0.0, 1.0, decay_steps="5 ephocs")}, "schedule.decay_steps"),
    ],
)
def test_a_refused_wrapping_is_told_by_the_override_that_mends_it(around, path):
    with pytest.raises(Refused) as refused:
        wrapped(**{"schedule": linear(1.0, 0.0), **around})
    assert [problem.path for problem in refused.value.problems] == [path]


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"kind": "linear", "initial_value": True, "end_value": 0}, "initial_value"),
        ({"schedule": linear(True, 0)}, "schedule.initial_value"),
        (linear(1, 0, decay_steps="1 epoch"), "decay_steps"),
        ({"schedule": linear(1, 0, decay_steps="1 epoch"), "length": 5}, "schedule.decay_steps"),
        ({"kind": "scale", "factor": 1, "schedule": linear("a", 0)}, "schedule.initial_value"),
        ({"kind": "sum", "schedules": [linear(1, 0), linear(1, 2, x=0)]}, "schedules.1.x"),
        (linear(1, 0, length="1 epoch"), "length"),
    ],
)
def test_a_refused_part_is_told_by_its_override(part, path):
    config = {"kind": "sequence", "parts": {"warmup": part}}
    with pytest.raises(Refused) as refused:
        load(config, Clock(100))
    assert [problem.path for problem in refused.value.problems] == [f"parts.warmup.{path}"]


def test_marks_name_the_parts_and_what_is_inside_them():
    restarts = {"kind": "cosine_restarts", "initial_value": 1.0, "first_decay_steps": 300}
    parts = {"warmup": linear(0.0, 1.0, length="10%"), "main": restarts}
    curve = load({"kind": "sequence", "parts": parts}, CLOCK)
    marks = list(curve.schedule.marks(CLOCK))
    assert marks == [("warmup", 0), ("main", 100), ("restart", 400)]
    cosine = {"kind": "cosine", "initial_value": 1.0}
    cooled = wrapped(cosine, cooldown=linear(1.0, 0.0, length="20%"))
    assert list(cooled.schedule.marks(CLOCK)) == [("main", 0), ("cooldown", 800)]
    assert list(wrapped(cosine).schedule.marks(CLOCK)) == []


def test_what_lies_around_a_schedule_on_its_clock_keeps_its_marks():
    marked = {"kind": "multistep", "initial_value": 1.0, "milestones": ["10%"], "gamma": 0.5}
    for around in (
        {"kind": "scale", "factor": 2.0, "schedule": marked},
        {"kind": "noise", "std": 0.1, "schedule": marked},
        {"kind": "plateau", "schedule": marked},
        {"kind": "product", "schedules": [marked, {"kind": "constant", "value": 1.0}]},
    ):
        assert list(load(around, CLOCK).schedule.marks(CLOCK)) == [("0.5", 100)]


def test_marks_stay_few_however_many_cycles_there_are():
    curve = load({"kind": "repeat", "schedule": {"kind": "constant", "value": 1}, "length": 1},
                 Clock(10**9))  # fmt: skip
    assert len(list(curve.schedule.marks(Clock(10**9)))) < 100
