"""Losses: what is made small, what is told, and what a schedule may drive of it."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.networks import Trained
from tests.helpers.runs import experiment, rows, trained
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.data import Facts
from trainer.losses import Loss
from trainer.scheduled.dials import Dials

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
    message = [
        Loss.declared({"kind": "cross_entropy", **settings}).evaluation(LOGITS, LABELS)
        for settings in ({}, {"label_smoothing": 0.2}, {"label_smoothing": LINE})
    ]
    for other in message[1:]:
        np.testing.assert_array_equal(other, message[0])


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
    message = [row["label_smoothing"] for row in rows(tmp_path) if "loss" in row]
    assert message == curve(np.arange(8)).tolist()


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


CLASSES, NUMBERS = Facts.of(100, (8,), classes=4), Facts.of(100, (8,), targets=3)
TARGETS = tf.constant(RANDOM.normal(size=(7, 3)), tf.float32)
ANSWERS = tf.constant(RANDOM.normal(size=(7, 3)) * 2, tf.float32)
SHARES = tf.constant(RANDOM.uniform(size=(7, 3)), tf.float32)
COUNTS = tf.constant(RANDOM.integers(0, 5, (7, 3)), tf.float32)


def trains(outputs, labels, **declared):
    return Loss.declared(declared).training(outputs, labels, NONE)


@pytest.mark.parametrize(
    ("declared", "theirs"),
    [
        ({"kind": "mean_squared_error"}, keras.losses.MeanSquaredError),
        ({"kind": "mean_absolute_error"}, keras.losses.MeanAbsoluteError),
        ({"kind": "huber"}, keras.losses.Huber),
        ({"kind": "huber", "delta": 0.3}, lambda **s: keras.losses.Huber(delta=0.3, **s)),
        ({"kind": "log_cosh"}, keras.losses.LogCosh),
    ],
)
def test_what_is_between_numbers_is_what_keras_finds(declared, theirs):
    expected = theirs(reduction="none")(TARGETS, ANSWERS)
    np.testing.assert_allclose(trains(ANSWERS, TARGETS, **declared), expected, rtol=1e-5)
    message = Loss.declared(declared).evaluation(ANSWERS, TARGETS)
    np.testing.assert_array_equal(message, trains(ANSWERS, TARGETS, **declared))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("labels", [LABELS, SHARES], ids=["classes", "numbers"])
def test_binary_cross_entropy_is_that_of_keras(labels, smoothing):
    theirs = keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=smoothing, reduction="none"
    )
    outputs = LOGITS if labels is LABELS else ANSWERS
    expected = theirs(tf.one_hot(labels, 4) if labels is LABELS else labels, outputs)
    loss = {"kind": "binary_cross_entropy", "label_smoothing": smoothing}
    np.testing.assert_allclose(trains(outputs, labels, **loss), expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_that_of_keras_and_cross_entropy_in_evaluations(gamma):
    theirs = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=gamma, from_logits=True, reduction="none"
    )
    expected = theirs(tf.one_hot(LABELS, 4), LOGITS)
    focal = Loss.declared({"kind": "focal", "gamma": gamma})
    np.testing.assert_allclose(focal.training(LOGITS, LABELS, NONE), expected, rtol=1e-4)
    plain = Loss.declared({"kind": "cross_entropy"}).evaluation(LOGITS, LABELS)
    np.testing.assert_array_equal(focal.evaluation(LOGITS, LABELS), plain)


def test_focal_has_a_gradient_where_an_example_is_learnt_to_the_last_bit():
    sure = tf.constant([[200.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(sure)
        message = trains(sure, tf.constant([0]), kind="focal", gamma=0.5)
    assert np.isfinite(tape.gradient(message, sure)).all()


def test_poisson_is_least_at_the_logarithm_of_the_rate_and_predicts_the_rate():
    loss = Loss.declared({"kind": "poisson"})
    labels, outputs = COUNTS.numpy(), ANSWERS.numpy()
    expected = np.mean(np.exp(outputs) - labels * outputs, axis=1)
    np.testing.assert_allclose(loss.evaluation(ANSWERS, COUNTS), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.predictions(tf.math.log([[4.0]])), [[4.0]], rtol=1e-6)


def test_a_quantile_costs_nine_times_as_much_above_as_below():
    off = trains(tf.constant([[-1.0], [1.0]]), tf.zeros([2, 1]), kind="quantile", quantile=0.9)
    np.testing.assert_allclose(off, [0.9, 0.1], rtol=1e-6)


def test_a_scheduled_gamma_and_delta_are_what_the_dials_show():
    for declared, outputs, labels in (
        ({"kind": "focal", "gamma": LINE}, LOGITS, LABELS),
        ({"kind": "huber", "delta": {**LINE, "end_value": 0.1}}, ANSWERS, TARGETS),
    ):
        [(field, _)] = [item for item in declared.items() if item[0] != "kind"]
        dials = Dials([field])
        for value in (0.25, 1.5):
            expected = trains(outputs, labels, **{**declared, field: value})
            with dials.showing(tf.constant([value])):
                shown = Loss.declared(declared).training(outputs, labels, dials)
            np.testing.assert_allclose(shown, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "binary_cross_entropy"])
def test_class_weights_scale_training_and_leave_evaluations(kind):
    weighted = {"kind": kind, "class_weights": {"1": 3.0, 2: 0.0}}
    factors = np.array([1.0, 3.0, 0.0, 1.0])[LABELS.numpy()]
    expected = factors * trains(LOGITS, LABELS, kind=kind).numpy()
    np.testing.assert_allclose(trains(LOGITS, LABELS, **weighted), expected, rtol=1e-6)
    message = [Loss.declared(d).evaluation(LOGITS, LABELS) for d in ({"kind": kind}, weighted)]
    np.testing.assert_array_equal(*message)


def test_balanced_weights_are_those_of_scikit_learn():
    """`compute_class_weight("balanced", classes=[0, 1], y=[0, 0, 0, 1])`, as its page tells."""
    facts = Facts.of(4, (8,), classes=2)
    loss = Loss.declared({"kind": "cross_entropy", "class_weights": "balanced"}).for_data(facts)
    assert loss.for_labels(np.array([0, 0, 0, 1], np.int32), facts).class_weights == {
        0: 2 / 3,
        1: 2.0,
    }


@pytest.mark.parametrize(
    ("kind", "of"), [("cross_entropy", tf.nn.softmax), ("binary_cross_entropy", tf.sigmoid)]
)
def test_a_network_that_gives_probabilities_has_the_loss_of_its_logits(kind, of):
    loss = Loss.declared({"kind": kind, "from_logits": False})
    expected = trains(LOGITS, LABELS, kind=kind)
    np.testing.assert_allclose(loss.training(of(LOGITS), LABELS, NONE), expected, rtol=1e-4)
    np.testing.assert_allclose(loss.predictions(of(LOGITS)), of(LOGITS))
    logits = Loss.declared({"kind": kind})
    np.testing.assert_allclose(logits.predictions(LOGITS), of(LOGITS))


def test_the_loss_that_is_not_chosen_suits_the_data():
    auto = Loss.declared({"kind": "auto", "label_smoothing": 0.1, "class_weights": {0: 2}})
    assert auto.for_data(CLASSES) == Loss.declared(
        {"kind": "cross_entropy", "label_smoothing": 0.1, "class_weights": {0: 2}}
    )
    assert Loss.declared({"kind": "auto"}).for_data(NUMBERS).kind == "mean_squared_error"
    assert compose()["loss"] == {"kind": "auto"}


@pytest.mark.parametrize(
    ("declared", "facts", "path"),
    [
        ({"kind": "cross_entropy"}, NUMBERS, "kind"),
        ({"kind": "focal"}, NUMBERS, "kind"),
        ({"kind": "huber"}, CLASSES, "kind"),
        ({"kind": "auto", "label_smoothing": LINE}, NUMBERS, "label_smoothing"),
        ({"kind": "auto", "class_weights": "balanced"}, NUMBERS, "class_weights"),
        ({"kind": "binary_cross_entropy", "class_weights": {0: 2}}, NUMBERS, "class_weights"),
        ({"kind": "cross_entropy", "class_weights": {4: 2.0}}, CLASSES, "class_weights"),
    ],
)
def test_a_loss_that_does_not_suit_the_data_is_refused(declared, facts, path):
    with pytest.raises(Refused) as refused:
        Loss.declared(declared).for_data(facts)
    [problem] = refused.value.problems
    assert problem.path == path
    assert problem.hint or "one class each" in problem.rule


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("poisson", [[-1.0, 0.0, 2.0]], "-1 among the labels"),
        ("binary_cross_entropy", [[0.0, 2.0, 1.0]], "from 0 to 1, and there is 2"),
    ],
)
def test_labels_that_a_loss_is_not_worked_out_for_are_refused(kind, labels, message):
    with pytest.raises(Refused, match=message):
        Loss.declared({"kind": kind}).for_labels(np.array(labels, np.float32), NUMBERS)


def test_a_class_without_examples_has_no_balanced_weight():
    loss = Loss.declared({"kind": "cross_entropy", "class_weights": "balanced"})
    with pytest.raises(Refused, match="class 2 has no example"):
        loss.for_labels(np.array([0, 1, 3], np.int32), CLASSES)


@pytest.mark.parametrize(
    "weights", [{}, {0: -1}, {0: "1"}, {-1: 1}, {"a": 1}, {0: True}, {0: 0}, [1, 2], "even"]
)
def test_what_are_no_class_weights_is_refused_by_its_override_path(weights):
    with pytest.raises(Refused) as refused:
        Loss.declared({"kind": "cross_entropy", "class_weights": weights})
    assert [problem.path for problem in refused.value.problems] == ["class_weights"]


def test_balanced_classes_train_as_classes_do_that_are_not_weighed():
    """500 of each class of the digits' data would do; there are 142 to 146 of each."""
    runs = [Trained(asked) for asked in ("loss.class_weights=null", "loss.class_weights=balanced")]
    plain, weighted = (run.update(0, 10) for run in runs)
    assert (plain != weighted).any()
    np.testing.assert_allclose(weighted, plain, rtol=0.03)


def square(outputs, labels, scale=1.0):
    return scale * tf.reduce_sum(tf.square(outputs - tf.one_hot(labels, 10)), axis=-1)


def averaged(outputs, labels):
    return tf.reduce_mean(square(outputs, labels))


OWN = 'loss={kind: python, call: "tests.losses.test_losses:NAME"}'


def test_a_function_of_the_users_own_is_a_loss(tmp_path):
    asked = (OWN.replace("NAME", "square"), "++loss.kwargs={scale: 2}", "allow_code=[tests]")
    assert trained(tmp_path, "run.length=60", *asked) == 0
    message = [row["eval_loss"] for row in rows(tmp_path) if "eval_loss" in row]
    assert message[-1] < message[0] < 4


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([OWN.replace("NAME", "square")], "loss.call = .*runs only with allow_code=true"),
        ([OWN.replace("NAME", "sqare"), "allow_code=true"], "did you mean square"),
        ([OWN.replace("NAME", "averaged"), "allow_code=true"], "one float for each example"),
    ],
)
def test_a_function_that_is_no_loss_is_refused(asked, message, tmp_path):
    with pytest.raises(Refused, match=f"(?s){message}"):
        trained(tmp_path, "run.length=5", *asked)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_the_example_of_a_function_is_the_score_of_brier_and_needs_no_leave():
    run = Trained("loss=python", "model=python")
    message = run.declared.loss.evaluation(LOGITS, LABELS)
    missed = tf.nn.softmax(LOGITS).numpy() - np.eye(4)[LABELS.numpy()]
    np.testing.assert_allclose(message, np.square(missed).sum(axis=1), rtol=1e-5)
    assert list(run.declared.code()) == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("categorical_crossentropy", "cross_entropy"),
        ("sparse_categorical_crossentropy", "cross_entropy"),
        ("SparseCategoricalCrossentropy", "cross_entropy"),
        ("binary_crossentropy", "binary_cross_entropy"),
        ("categorical_focal_crossentropy", "focal"),
        ("mse", "mean_squared_error"),
        ("mae", "mean_absolute_error"),
        ("logcosh", "log_cosh"),
        ("CrossEntropyLoss", "cross_entropy"),
        ("NLLLoss", "cross_entropy"),
        ("BCEWithLogitsLoss", "binary_cross_entropy"),
        ("MSELoss", "mean_squared_error"),
        ("SmoothL1Loss", "huber"),
    ],
)
@pytest.mark.parametrize("key", ["loss", "loss.kind"])
def test_the_names_that_other_libraries_have_lead_to_ours(key, theirs, ours):
    with pytest.raises(Refused) as refused:
        experiment(f"{key}={theirs}")
    [problem] = refused.value.problems
    assert problem.hint == f"did you mean {ours}?"
    assert experiment(f"loss={ours}").loss.kind == ours


MARKS = {
    "one hot": np.eye(3, dtype=np.float32),
    "several": np.float32([[1, 1, 0], [0, 1, 0], [0, 0, 0]]),
    "shares": np.float32([[0.1, 0.2, 0.7], [1, 0, 0], [0.5, 0.25, 0.25]]),
}


@pytest.mark.parametrize("marks", MARKS)
def test_marks_of_classes_are_never_trained_by_squared_error_unasked(marks, tmp_path):
    np.savez(tmp_path / "a.npz", inputs=np.ones([60, 4]), labels=np.tile(MARKS[marks], [20, 1]))
    asked = ("data=npz", f"data.path={tmp_path / 'a.npz'}", "data.batch_size=8")

    def evaluated(*overrides):
        plan = Plan.of(experiment(*asked, *overrides))
        plan.check_metrics()
        return plan.experiment.loss.for_data(plan.experiment.data.facts()).kind

    if marks == "one hot":
        assert evaluated() == "cross_entropy"
    else:
        with pytest.raises(Refused, match=r"loss.kind = 'auto': would train rows") as refused:
            evaluated()
        [problem] = refused.value.problems
        for override in re.findall(r"loss=\w+", problem.hint):
            assert evaluated(override) == override.partition("=")[2]
    assert evaluated("data.task=regression", "loss=mean_squared_error") == "mean_squared_error"
