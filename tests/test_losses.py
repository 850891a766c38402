"""Losses: what is made small, what is told, and what a schedule may drive of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from trainer.live import Dials
from trainer.losses import Loss

from .networks import Trained
from .runs import experiment, rows, trained

RANDOM = np.random.default_rng(5)
LOGITS = tf.constant(RANDOM.normal(size=(7, 4)), tf.float32)
LABELS = tf.constant(RANDOM.integers(0, 4, 7), tf.int32)
NONE = Dials([])
LINE = {"kind": "linear", "initial_value": 0.3, "end_value": 0.0}


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_is_that_of_keras(smoothing):
    theirs = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing, reduction="none"
    )
    expected = theirs(tf.one_hot(LABELS, 4), LOGITS)
    loss = Loss.declared({"kind": "cross_entropy", "label_smoothing": smoothing})
    np.testing.assert_allclose(loss.training(LOGITS, LABELS, NONE), expected, rtol=1e-5)


def test_an_evaluation_has_the_plain_loss_whatever_is_smoothed():
    told = [
        Loss.declared({"kind": "cross_entropy", **settings}).evaluation(LOGITS, LABELS)
        for settings in ({}, {"label_smoothing": 0.2}, {"label_smoothing": LINE})
    ]
    assert list(told[0]) == ["loss", "accuracy"]
    for other in told[1:]:
        for name, values in told[0].items():
            np.testing.assert_array_equal(other[name], values)
    right = np.argmax(LOGITS, axis=1) == LABELS.numpy()
    np.testing.assert_array_equal(told[0]["accuracy"], right)


def test_scheduled_smoothing_is_what_the_dial_shows():
    loss = Loss.declared({"kind": "cross_entropy", "label_smoothing": LINE})
    dials = Dials(["label_smoothing"])
    for value in (0.0, 0.25):
        fixed = Loss.declared({"kind": "cross_entropy", "label_smoothing": value})
        expected = fixed.training(LOGITS, LABELS, NONE)
        with dials.showing(tf.constant([value])):
            shown = loss.training(LOGITS, LABELS, dials)
        np.testing.assert_allclose(shown, expected, rtol=1e-6)


def test_a_schedule_that_stays_trains_as_the_number_it_stays_at():
    constant = "loss.label_smoothing={kind: constant, value: 0.25}"
    runs = [Trained(asked) for asked in ("loss.label_smoothing=0.25", constant)]
    losses = [run.update(0, 20) for run in runs]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_the_smoothing_that_an_update_applied_is_in_its_row(tmp_path):
    asked = (
        "run.length=8",
        "loss.label_smoothing={kind: linear, initial_value: 0.4, end_value: 0}",
    )
    trained(tmp_path, *asked)
    curve = experiment(*asked).curves()["label_smoothing"]
    told = [row["label_smoothing"] for row in rows(tmp_path) if "loss" in row]
    assert told == curve(np.arange(8)).tolist()


@pytest.mark.parametrize("value", [1, -0.1, True, "0.1"])
def test_what_is_no_share_of_a_label_is_refused_by_its_override_path(value):
    with pytest.raises(Refused) as refused:
        experiment(f"loss.label_smoothing={value!r}")
    [problem] = refused.value.problems
    assert problem.path == "loss.label_smoothing"


def test_a_broken_schedule_of_the_smoothing_is_refused_by_its_override_path():
    asked = "loss.label_smoothing={kind: linear, initial_value: 0.1, end_value: 0, decay_steps: 0}"
    with pytest.raises(Refused) as refused:
        experiment(asked)
    assert [problem.path for problem in refused.value.problems] == [
        "loss.label_smoothing.decay_steps"
    ]
