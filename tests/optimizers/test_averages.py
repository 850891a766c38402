"""The running mean of the weights: its values, and what it is used for."""

import numpy as np
import pytest

from tests.helpers.networks import Trained
from tests.helpers.runs import experiment, result, trained

RISING = {"kind": "linear", "initial_value": 0.5, "end_value": 0.95}
WRITTEN = "ema={momentum: {kind: linear, initial_value: 0.5, end_value: 0.95}}"


@pytest.mark.parametrize("compiled", ["graph", "xla"])
@pytest.mark.parametrize("asked", ["ema={momentum: 0.9}", WRITTEN])
def test_averages_follow_the_formula(asked, compiled):
    run = Trained(asked, compiled=compiled)
    momentum = (
        run.curves["ema_momentum"](np.arange(10)) if "ema_momentum" in run.curves else [0.9] * 10
    )
    expected = {path: w.astype(np.float64) for path, w in run.weights().items()}
    for t in range(10):
        run.update(t, 1)
        for path, w in run.weights().items():
            expected[path] = momentum[t] * expected[path] + (1 - momentum[t]) * w
    averages = run.network.average.variables
    assert averages.keys() == expected.keys()
    for path, average in averages.items():
        np.testing.assert_allclose(average, expected[path], rtol=1e-5, atol=1e-6)
        assert np.abs(average - run.weights()[path]).max() > 1e-4


def test_averaging_changes_no_bit_of_the_weights():
    plain, averaged = Trained(), Trained("ema={momentum: 0.9}")
    for run in (plain, averaged):
        run.update(0, 20)
    assert plain.network.digest() == averaged.network.digest()
    assert plain.network.average_digest() is None


def test_evaluations_use_the_averages_and_leave_the_weights_alone():
    run = Trained("ema={momentum: 0.9}")
    run.update(0, 20)
    before = run.network.digest()
    message = run.program.evaluate()
    assert run.network.digest() == before
    for weight in run.network.model.trainable_variables:
        weight.assign(run.network.average.variables[weight.path])
    run.network.average = None
    run.program.evaluation._compiled.clear()
    assert run.program.evaluate() == pytest.approx(message, rel=1e-6)


def test_an_average_with_no_memory_is_the_weights():
    run = Trained("ema={momentum: 0}")
    run.update(0, 5)
    assert run.network.average_digest() is not None
    for path, w in run.weights().items():
        np.testing.assert_array_equal(run.network.average.variables[path], w)


def test_a_result_tells_the_digest_of_the_averages_too(tmp_path):
    trained(tmp_path, "run.length=5", "ema={momentum: 0.9}")
    ended = result(tmp_path)
    assert len(ended["average_digest"]) == 64
    assert ended["average_digest"] != ended["weights_digest"]


def test_the_momentum_is_a_curve_of_its_own():
    curves = experiment(WRITTEN, "optimizer.momentum=0.5").curves()
    assert list(curves) == ["learning_rate", "ema_momentum"]
