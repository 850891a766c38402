"""Noise that is a function of seed and step, and noise nonetheless."""

import math

import numpy as np
import pytest

from schedules import Clock, load
from schedules.kinds.noise import splitmix64

N = 200_000


def noise(seed, std=1.0):
    return {
        "kind": "noise",
        "schedule": {"kind": "constant", "value": 1.0},
        "std": std,
        "seed": seed,
    }


def draws(seed):
    return load(noise(seed))(np.arange(N)) - 1


def test_the_bits_are_splitmix64s():
    # The first outputs for seed 1234567, as the reference implementation in C gives them.
    state = (1234567 * pow(0x9E3779B97F4A7C15, -1, 2**64)) % 2**64  # there the seed is the state
    counter = np.uint64(state) + np.arange(3, dtype=np.uint64)
    assert splitmix64(counter).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize("seed", [0, 1, 2, -1, 2**63])
def test_the_noise_is_normal(seed):
    x = draws(seed)
    assert abs(x.mean()) < 4 / math.sqrt(N)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / N)
    cdf = np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in np.sort(x)])
    distance = np.abs(cdf - (np.arange(N) + 0.5) / N).max()
    assert distance < 1.95 / math.sqrt(N)  # Kolmogorov and Smirnov, one in a thousand


def test_one_step_says_nothing_of_the_next_and_one_seed_nothing_of_another():
    x = draws(0)
    others = [x[lag:] for lag in (1, 2, 3, 64, 1000)] + [draws(seed) for seed in (1, 2, 3)]
    for other in others:
        n = len(other)
        for f in (np.asarray, np.abs, np.square):
            assert abs(np.corrcoef(f(x[:n]), f(other))[0, 1]) < 4.5 / math.sqrt(n)


def test_a_step_has_one_value_wherever_and_however_often_it_is_read():
    curve = load(noise(5))
    once = curve(range(100))
    assert [curve(step) for step in reversed(range(100))] == once[::-1].tolist()
    assert load(noise(5), Clock(10**6))(range(100)).tolist() == once.tolist()
    assert len(set(once.tolist())) == 100


def test_std_is_relative_to_the_value():
    ten = {"kind": "constant", "value": 10.0}
    wide = load({"kind": "noise", "schedule": ten, "std": 0.1})(np.arange(N))
    assert wide.mean() == pytest.approx(10, abs=0.01)
    assert wide.std() == pytest.approx(1, rel=0.01)


def noisy(**parameters):
    return load({"kind": "noisy_linear_cosine", "initial_value": 1.0, "decay_steps": 1000,
                 **parameters})  # fmt: skip


def test_noisy_linear_cosine_never_falls_below_its_minimum():
    raw, floored = noisy(min_value=None)(range(3000)), noisy()(range(3000))
    assert raw.min() < 0
    assert floored.tolist() == np.maximum(raw, 0.0).tolist()
    assert noisy(min_value=0.25)(range(3000)).min() == 0.25


def test_without_variance_noisy_linear_cosine_is_linear_cosine():
    plain = load({"kind": "linear_cosine", "initial_value": 1.0, "decay_steps": 1000})
    assert noisy(initial_variance=0)(range(2000)).tolist() == plain(range(2000)).tolist()


def test_at_step_0_tensorflows_curve_is_negative_as_often_as_was_measured():
    at_0 = [noisy(seed=seed, min_value=None)(0) for seed in range(4000)]
    negative = sum(value < 0 for value in at_0) / 4000
    assert negative == pytest.approx(0.158, abs=0.02)
