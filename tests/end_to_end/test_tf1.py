"""TensorFlow 1's own decays, run eagerly, beside ours."""

import numpy as np
import pytest

from schedules import Clock, load

STEPS = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 19, 20, 21, 49, 50, 51, 97, 100, 399, 1000, 12_345]
TOLERANCE = {"rtol": 5e-5, "atol": 2e-5}  # theirs is float32: cycle 1763.571 ends in few digits
DECAYS = {
    "exponential": "exponential_decay",
    "natural_exp": "natural_exp_decay",
    "inverse_time": "inverse_time_decay",
    "polynomial": "polynomial_decay",
    "cosine": "cosine_decay",
    "cosine_restarts": "cosine_decay_restarts",
    "linear_cosine": "linear_cosine_decay",
    "noisy_linear_cosine": "noisy_linear_cosine_decay",
}


def cases():
    for kind in ("exponential", "natural_exp", "inverse_time"):
        for T in (1, 7, 10, 64, 100):
            for rate in (0.1, 0.6, 0.96):
                for staircase in (False, True):
                    yield kind, {"decay_steps": T, "decay_rate": rate, "staircase": staircase}
    for T in (1, 7, 10, 64, 100):
        for power in (0.0, 0.5, 1.0, 2.0, 3.5):
            for end in (0.0, 0.0001, 0.05, 0.3):
                for cycle in (False, True):
                    power_and_end = {"power": power, "end_value": end}
                    yield "polynomial", {"decay_steps": T, "cycle": cycle, **power_and_end}
        for alpha in (0.0, 0.011, 0.5, 1.0):
            yield "cosine", {"decay_steps": T, "alpha": alpha}
            for periods in (0.2, 0.5, 3.0):
                waves = {"num_periods": periods, "alpha": alpha}
                yield "linear_cosine", {"decay_steps": T, **waves, "beta": 0.2}
                without = {"initial_variance": 0.0, "min_value": None}
                yield "noisy_linear_cosine", {"decay_steps": T, **waves, **without}
    for first in (1, 7, 10, 64):
        for t_mul in (1.0, 2.0, 3.0):
            for m_mul, alpha in ((1.0, 0.0), (0.8, 0.011), (0.5, 0.1)):
                factors = {"t_mul": t_mul, "m_mul": m_mul, "alpha": alpha}
                yield "cosine_restarts", {"first_decay_steps": first, **factors}


def theirs(tf, kind, parameters, step):
    known = {name: value for name, value in parameters.items() if name != "min_value"}
    if kind == "polynomial":
        known["end_learning_rate"] = known.pop("end_value")
    value = getattr(tf.compat.v1.train, DECAYS[kind])(0.3, step, **known)
    return float(value() if callable(value) else value)


@pytest.mark.parametrize("kind", DECAYS)
def test_a_decay_is_tensorflow_1s(kind):
    import tensorflow as tf

    tried = [parameters for name, parameters in cases() if name == kind]
    assert tried
    for parameters in tried:
        curve = load({"kind": kind, "initial_value": 0.3, **parameters}, Clock(20_000))
        steps = [step for step in STEPS if not near_a_missed_boundary(kind, parameters, step)]
        expected = [theirs(tf, kind, parameters, step) for step in steps]
        np.testing.assert_allclose(curve(steps), expected, **TOLERANCE, err_msg=str(parameters))


def near_a_missed_boundary(kind, parameters, step):
    """Whether TensorFlow's float32 logarithm decides the cycle here, and may decide it wrongly."""
    if kind != "cosine_restarts" or parameters["t_mul"] == 1.0:
        return False
    start, length = 0.0, float(parameters["first_decay_steps"])
    while start + length < step:
        start, length = start + length, length * parameters["t_mul"]
    return step in (start + length, start)


@pytest.mark.parametrize("boundaries", [[10], [10, 20, 30, 40, 50], [1, 2, 399]])
def test_piecewise_constant_is_tensorflow_1s(boundaries):
    import tensorflow as tf

    values = [0.06 / 2**i for i in range(len(boundaries) + 1)]
    curve = load({"kind": "piecewise_constant", "boundaries": boundaries, "values": values})
    at = [tf.compat.v1.train.piecewise_constant(step, boundaries, values) for step in STEPS]
    expected = [float(value() if callable(value) else value) for value in at]
    np.testing.assert_allclose(curve(STEPS), expected, rtol=1e-6)


def test_the_noise_is_as_large_as_tensorflow_1s():
    curve = load({"kind": "noisy_linear_cosine", "initial_value": 1.0, "decay_steps": 10**6,
                  "num_periods": 0.0, "beta": 0.0, "initial_variance": 4.0, "variance_decay": 0.5,
                  "min_value": None})  # fmt: skip
    steps = np.arange(90_000, 110_000)
    trembling = curve(steps) - (1 - steps / 10**6)
    assert trembling.std() == pytest.approx(2 / 100_000**0.25, rel=0.03)
    assert abs(trembling.mean()) < 0.005
