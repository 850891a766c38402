"""Curves kept as parabolas in integers give every float32 value back."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schedules import Clock, load
from trainer.scheduled.parabolas import CurveTooLongError, fitted, ordinal, parabola

STEPS = 200_000  # three whole chunks and a part of one
NOISE = {"kind": "noise", "std": 0.1, "schedule": {"kind": "cosine", "initial_value": 0.1}}


def decay(length, rate, initial_value=0.1, staircase=True):
    return {"kind": "exponential", "initial_value": initial_value, "decay_steps": length,
            "decay_rate": rate, "staircase": staircase}  # fmt: skip


def line(start, end):
    return {"kind": "linear", "initial_value": start, "end_value": end}


RESTARTS = {"kind": "cosine_restarts", "initial_value": 0.1, "first_decay_steps": 1000}
CURVES = {
    "constant": {"kind": "constant", "value": 0.1},
    "line": line(0.02, 0.016),
    "line through zero": line(-0.02, 0.03),
    "fall to zero": {"kind": "cosine", "initial_value": 0.1},
    "steep fall": decay(1000, 0.5, initial_value=1.0, staircase=False),
    "long stairs": decay("100000/7", 0.9),
    "short stairs": decay(7, 0.999),
    "restarts": {**RESTARTS, "t_mul": 1.1},
    "denormal numbers": line(3e-39, -1e-40),
    "beyond float32": decay(100, 1.1),
    "ties": line(1.0, 1.0 + STEPS / 2**24),
}


def message(pieces, steps):
    """What the pieces give at the steps."""
    own = pieces[np.searchsorted(pieces[:, 0], steps, side="right") - 1]
    number = parabola(own.T[1:], steps - own[:, 0], np.right_shift).astype(np.int32)
    return ordinal(number, number >> 31).view(np.float32)


def bits(values):
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float32).view(np.int32)


@pytest.mark.parametrize("name", CURVES)
def test_every_step_of_a_curve_comes_back_bit_for_bit(name):
    curve, steps = load(CURVES[name], Clock(STEPS)), np.arange(STEPS)
    pieces = fitted(curve, range(STEPS), STEPS)
    assert bits(message(pieces, steps)).tolist() == bits(curve(steps)).tolist()


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(-1e-3, 1e-3)


@given(st.lists(NUMBERS, min_size=1, max_size=40))
@example([0.0, float(np.finfo(np.float32).max)])
def test_any_values_come_back(values):
    steps = np.arange(len(values) + 3)
    curve = load({"kind": "table", "values": values})
    pieces = fitted(curve, range(len(steps)), len(steps))
    assert bits(message(pieces, steps)).tolist() == bits(curve(steps)).tolist()


GREATEST = float(np.finfo(np.float32).max)


@given(st.floats(-GREATEST, GREATEST, width=32, exclude_max=True))
def test_neighbouring_numbers_have_neighbouring_ordinals(number):
    row = np.array([number, np.nextafter(np.float32(number), np.float32(np.inf))], np.float32)
    pair = row.view(np.int32)
    numbered = ordinal(pair, pair >> 31)
    # Between the smallest negative number and the smallest positive one lie -0.0 and 0.0.
    across_zero = row[0] <= 0 <= row[1]
    assert numbered[1] - numbered[0] in ((1, 2) if across_zero else (1,))
    assert ordinal(numbered, numbered >> 31).tolist() == pair.tolist()


@pytest.mark.parametrize(("name", "most"), [("constant", 2), ("line", 2), ("long stairs", 11)])
def test_a_simple_curve_takes_few_pieces(name, most):
    assert len(fitted(load(CURVES[name], Clock(STEPS)), range(2 * 65_536), STEPS)) <= most


def test_noise_takes_a_piece_a_step_and_is_too_long_as_soon_as_that_is_plain():
    curve = load(NOISE, Clock(10**12))
    with pytest.raises(CurveTooLongError) as refused:
        fitted(curve, range(10**12), 100_000)
    assert refused.value.steps == 2 * 65_536
