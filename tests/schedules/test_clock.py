"""Durations and the clock: exact rationals, or a refusal."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import Clock, Duration, Refused, load
from schedules.clock import exact

CLOCK = Clock(total_steps=1000, batch_size=64, examples_per_epoch=55_000)


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        (500, 500),
        (0.5, Fraction(1, 2)),
        ("500 steps", 500),
        ("1 step", 1),
        ("500", 500),
        ("1 epoch", Fraction(55_000, 64)),
        ("1.5 epochs", Fraction(82_500, 64)),
        ("1/3 epoch", Fraction(55_000, 192)),
        ("10epochs", Fraction(550_000, 64)),
        ("60000 examples", Fraction(60_000, 64)),
        ("6e4 examples", Fraction(60_000, 64)),
        ("20%", 200),
        ("0.1 %", 1),
        ("100/7%", Fraction(1000, 7)),
    ],
)
def test_a_duration_is_an_exact_number_of_steps(written, steps):
    assert CLOCK.steps(written) == steps


@pytest.mark.parametrize("number", [1.1, 0.1, 1e-9, 3, 2.5, 1e16])
def test_a_number_is_the_decimal_that_was_written(number):
    assert exact(number) == Fraction(str(number))


@pytest.mark.parametrize(
    "written",
    [
        *("10 ephocs", "epochs", "", "ten", "1..5", "1/0", "1e999999999", "nan", "inf", "1:30"),
        *(True, None, [5], float("nan"), float("inf"), -1, "-1 epochs", 1e-30, 1e30),
    ],
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValueError, match=r"must"):
        Duration.parse(written)


@given(
    st.fractions(min_value="1/1000", max_value=10**6),
    st.sampled_from(["steps", "epochs", "examples", "%"]),
)
def test_a_duration_written_out_reads_back_as_itself(amount, unit):
    duration = Duration(amount, unit)
    assert Duration.parse(str(duration)) == duration
    assert Duration.parse(duration.config_value()) == duration


@pytest.mark.parametrize(
    ("clock", "written", "lacking"),
    [
        (Clock(), "20%", "total_steps"),
        (Clock(100), "1 epoch", "examples_per_epoch"),
        (Clock(100, examples_per_epoch=100), "1 epoch", "batch_size"),
        (Clock(100), "100 examples", "batch_size"),
    ],
)
def test_a_unit_that_the_clock_cannot_convert_is_refused_by_name(clock, written, lacking):
    with pytest.raises(Refused, match=f"needs a clock with {lacking}"):
        clock.steps(written)


@pytest.mark.parametrize("field", ["total_steps", "batch_size", "examples_per_epoch"])
@pytest.mark.parametrize("value", [0, -5, True, 1.5, "100"])
def test_a_clock_takes_whole_numbers_above_zero_only(field, value):
    with pytest.raises(Refused, match=f"{field} = .*: must be a whole number above 0"):
        Clock(**{field: value})


def test_an_epoch_of_55000_examples_falls_between_steps_as_it_did_in_tensorflow_1():
    stairs = {"kind": "exponential", "initial_value": 0.01, "decay_steps": "1 epoch",
              "decay_rate": 0.95, "staircase": True}  # fmt: skip
    steps = range(10_000)
    expected = [0.01 * 0.95 ** (step * 64 // 55_000) for step in steps]
    assert load(stairs, CLOCK)(steps).tolist() == pytest.approx(expected, rel=1e-12)
