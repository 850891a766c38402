"""Computing in fewer bits: what stays float32, and the scale of float16's loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.continuation import goes_on_exactly
from tests.helpers.networks import Trained
from tests.helpers.runs import events, rows, trained
from trainer.engine import precision
from trainer.engine.gradients import finite
from trainer.engine.precision import HIGHEST, Scaling
from trainer.losses import CrossEntropy

BOTH = pytest.mark.parametrize("asked", ["mixed_bfloat16", "mixed_float16"])
EVERYTHING = (
    "optimizer=adamw",
    "schedule.initial_value=0.003",
    "optimizer.groups={biases: {paths: ['*/bias'], weight_decay: 0}}",
    "optimizer.global_clipnorm={kind: linear, initial_value: 1, end_value: 2}",
    "ema={momentum: 0.9}",
    "loss.label_smoothing=0.1",
    "model.dropout={kind: linear, initial_value: 0.1, end_value: 0.5}",
    "run.micro_batches=2",
)


@BOTH
def test_layers_compute_in_fewer_bits_and_everything_else_does_not(asked: str) -> None:
    run = Trained(f"run.precision={asked}", *EVERYTHING)
    inputs, _ = run.batch(0)
    assert run.network.model(inputs).dtype == asked.removeprefix("mixed_")
    assert run.network.outputs(inputs).dtype == tf.float32
    floats = {name: x for name, x in run.network.state().items() if x.dtype.kind == "f"}
    assert {x.dtype for x in floats.values()} == {np.dtype(np.float32)}
    assert run.update(0, 2).dtype == np.float32
    assert Trained().network.model(inputs).dtype == tf.float32  # the next run is not touched


@BOTH
def test_a_learning_rate_is_applied_in_all_its_bits(asked: str) -> None:
    """One part in a thousand more is the same bfloat16, and moves a weight by that much more."""
    moved = []
    for rate in (0.125, 0.125 * 1.001):
        run = Trained("optimizer=sgd", f"schedule.initial_value={rate}", f"run.precision={asked}")
        for weight in run.network.model.trainable_variables:
            weight.assign(0 * weight)  # so that no rounding of a sum hides what was added
        run.update(0, 1)
        moved.append(run.weights()["model/logits/bias"])
    np.testing.assert_allclose(moved[1] / moved[0], 1.001, rtol=1e-6)


@pytest.mark.parametrize(
    ("asked", "compiled"),
    [
        ("mixed_bfloat16", "graph"),
        pytest.param("mixed_bfloat16", "xla", marks=pytest.mark.slow),
        pytest.param("mixed_float16", "graph", marks=pytest.mark.slow),  # a minute on a CPU
        ("mixed_float16", "xla"),
    ],
)
def test_it_learns_what_float32_learns(asked: str, compiled: str) -> None:
    full, mixed = (
        Trained(
            f"run.precision={kind}",
            "schedule.initial_value=0.1",
            "ema={momentum: 0.5}",
            compiled=compiled,
        )
        for kind in ("float32", asked)
    )
    losses = [run.update(0, 50) for run in (full, mixed)]
    assert losses[0][-1] < losses[0][0] / 2
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.1)
    assert not np.array_equal(*losses)
    message = full.program.evaluate()
    assert mixed.program.evaluate()["loss"] == pytest.approx(message["loss"], rel=0.1)


@BOTH
def test_stopping_and_going_on_ends_in_the_same_bits(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "PATIENCE", 5)  # so that the scale moves, and is too high
    asks = ("run.length=40", "checkpoint.every=9", f"run.precision={asked}", *EVERYTHING)
    whole = goes_on_exactly(tmp_path, *asks, stops=(13, 25))
    assert [row["step"] for row in rows(whole) if "loss" in row] == list(range(40))


@pytest.mark.parametrize("compiled", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_an_update_whose_scale_was_too_high_is_the_one_of_a_scale_that_is_not(
    compiled: str,
) -> None:
    """Same dropout, same weights, to the bit: nothing of the vain tries stays."""
    asked = ("run.precision=mixed_float16", "model.dropout=0.5", "run.micro_batches=2")
    lowered, right = (Trained(*asked, compiled=compiled) for _ in range(2))
    lowered.network.scaling.scale.assign(HIGHEST)
    lowered.update(0, 1)
    found = float(lowered.network.scaling.scale)
    assert found < HIGHEST
    right.network.scaling.scale.assign(found)
    right.update(0, 1)
    assert float(right.network.scaling.scale) == found
    assert lowered.network.digest() == right.network.digest()
    ours, theirs = lowered.network.state(), right.network.state()
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"loss/fitting"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_small_gradients_last_by_the_scale_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss of a ten-millionth: unscaled, what it passes on to each example is 0 in float16."""
    plain = CrossEntropy.training

    def small(self, outputs, labels, dials):
        return 1e-7 * plain(self, outputs, labels, dials)

    monkeypatch.setattr(CrossEntropy, "training", small)
    kept = []
    for scale in (1.0, 2.0**15):
        run = Trained("optimizer=sgd", "schedule.initial_value=1e5", "run.precision=mixed_float16")
        run.network.scaling.scale.assign(scale)
        before = run.weights()["model/dense_1/kernel"]
        run.update(0, 1)
        kept.append(np.mean(run.weights()["model/dense_1/kernel"] != before))
    assert kept[0] == 0
    assert kept[1] > 0.5


def test_the_scale_follows_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that are infinite above a bound which rises and falls, beside plain Python."""
    monkeypatch.setattr(precision, "PATIENCE", 3)
    bounds = [2.0**e for e in (9, 9, 9, 9, 9, 12, 12, 12, 12, 3, 3, 3, 3, 0, 0, 0, 0)]
    scaling, expected, scale, fitting = Scaling(), [], 2.0**15, 0
    message = []
    for bound in bounds:
        loss_and_gradient, sound = scaling.tried(
            lambda s, b=bound: [tf.constant(2.0), s * tf.where(s > b, np.inf, 3.0)],
            lambda loss, gradients: finite(loss, gradients, xla=False),
            [tf.TensorShape([]), tf.TensorShape([])],
        )
        assert sound
        assert [float(x) for x in loss_and_gradient] == [2.0, 3.0]
        message.append((float(scaling.scale), int(scaling.fitting)))
        fitting = 0 if scale > bound else fitting + 1
        scale = min(scale, bound)
        if fitting == 3:
            scale, fitting = 2 * scale, 0
        expected.append((scale, fitting))
    assert message == expected
    assert len({scale for scale, _ in message}) > 4


def test_what_no_scale_mends_is_left_to_on_nonfinite_and_the_scale_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = CrossEntropy.training

    def spoilt(self, outputs, labels, dials):
        losses = plain(self, outputs, labels, dials)
        return tf.cond(
            dials.value("learning_rate") > 1,
            lambda: losses + tf.sqrt(0 * tf.reduce_sum(outputs)),  # only gradients are NaN
            lambda: losses,
        )

    monkeypatch.setattr(CrossEntropy, "training", spoilt)
    values = [0.1] * 7 + [2.0] + [0.1] * 4
    asked = (
        "run.length=12",
        f"schedule={{kind: table, values: {values}}}",
        "run.precision=mixed_float16",
        "run.on_nonfinite=skip",
    )
    assert trained(tmp_path, *asked) == 0
    assert [event["at"] for event in events(tmp_path, "skipped")] == [[7]]
    [saved] = (tmp_path / "checkpoints").glob("step-*12")
    with np.load(saved / "state.npz") as arrays:
        assert arrays["loss/scale"] == 2**15
        assert arrays["loss/fitting"] == 11
