"""Metrics: of the whole test set, whatever is looked at together."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.runs import experiment, plan, result, rows, trained
from trainer.commands.checks import preface
from trainer.config.plan import Plan
from trainer.data import Facts
from trainer.data.facts import Feature
from trainer.losses import Loss
from trainer.losses.loss import Outputs
from trainer.metrics import Metric, Metrics, Tally, parts

RANDOM = np.random.default_rng(7)
CLASSES, NUMBERS = Facts.of(100, (8,), classes=4), Facts.of(100, (8,), targets=2)
LOGITS = RANDOM.normal(size=(53, 4)).astype(np.float32)
LABELS = RANDOM.permutation(np.repeat(np.arange(4, dtype=np.int32), [25, 15, 9, 4]))
ANSWERS = RANDOM.normal(3, 2, size=(53, 2)).astype(np.float32)
TARGETS = (ANSWERS + RANDOM.normal(size=(53, 2))).astype(np.float32)
ONE_HOT = np.eye(4)[LABELS]
PREDICTED = np.eye(4)[LOGITS.argmax(axis=1)]
TAGS = Facts.of(100, (8,), targets=4)
MARKS = (RANDOM.random((53, 4)) < [0.5, 0.3, 0.7, 0.1]).astype(np.float32)
SHARES = keras.ops.convert_to_numpy(keras.ops.sigmoid(LOGITS))


def message(
    declared: dict[str, Any], facts: Facts, at_once: int = 9, **loss: Any
) -> dict[str, float]:
    """What an evaluation finds, some examples at a time."""
    outputs, labels = (LOGITS, LABELS) if facts is CLASSES else (ANSWERS, TARGETS)
    if facts is TAGS:
        outputs, labels, loss = LOGITS, MARKS, {"kind": "binary_cross_entropy"}
    used = Loss.declared({"kind": "auto", **loss}).for_data(facts)
    metrics = Metrics.declared(declared).for_data(facts, used)
    tally = Tally(used, metrics)
    for start in range(0, len(labels), at_once):
        chunk = slice(start, start + at_once)
        given, known = Outputs(tf.constant(outputs[chunk]), None), tf.constant(labels[chunk])
        found = {f"loss/{name}": value for name, value in used.sums(given, known, None).items()}
        tally.add(found | parts(used, metrics, facts, given, known), len(known))
    return tally.result()


def by_keras(metric: keras.metrics.Metric, labels: Any, outputs: Any) -> Any:
    metric.update_state(labels, outputs)
    return np.asarray(metric.result())


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("accuracy", keras.metrics.SparseCategoricalAccuracy()),
        ("top_k_accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2)),
    ],
)
def test_shares_of_right_answers_are_those_of_keras(name: str, theirs: Any) -> None:
    settings = {"k": 2} if name == "top_k_accuracy" else {}
    assert message({name: settings}, CLASSES)[name] == pytest.approx(
        by_keras(theirs, LABELS, LOGITS)
    )


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_f1_is_that_of_keras(average: str) -> None:
    expected = by_keras(keras.metrics.F1Score(average=average), ONE_HOT, PREDICTED)
    assert message({"f1": {"average": average}}, CLASSES)["f1"] == pytest.approx(float(expected))


@pytest.mark.parametrize("name", ["precision", "recall"])
@pytest.mark.parametrize("k", [0, 3])
def test_precision_and_recall_of_a_class_are_those_of_keras(name: str, k: int) -> None:
    theirs = {"precision": keras.metrics.Precision, "recall": keras.metrics.Recall}[name]
    expected = by_keras(theirs(class_id=k), ONE_HOT, PREDICTED)
    assert message({name: {"average": k}}, CLASSES)[name] == pytest.approx(float(expected))


def test_macro_is_the_mean_over_the_classes_there_are() -> None:
    """As scikit-learn: of two right of class 0 and one of class 1 taken for 0, and no class 2."""
    metric = Metric.declared({"kind": "recall"})
    of = {name: np.array(x, np.float64) for name, x in
          {"right": [2, 0, 0], "true": [2, 1, 0], "predicted": [3, 0, 0]}.items()}  # fmt: skip
    assert metric.value(of, 3) == 0.5
    assert Metric.declared({"kind": "precision"}).value(of, 3) == pytest.approx(1 / 3)


def test_auc_counts_the_pairs_that_come_in_the_right_order() -> None:
    scores = tf.nn.softmax(LOGITS).numpy().astype(np.float64)
    areas = []
    for k in range(4):
        yes, no = scores[k == LABELS, k], scores[k != LABELS, k]
        areas.append(np.mean((yes[:, None] > no) + 0.5 * (yes[:, None] == no)))
    assert message({"auc": {}}, CLASSES)["auc"] == pytest.approx(np.mean(areas))


def test_auc_of_ties_and_of_one_class_alone() -> None:
    metric = Metric.declared({"kind": "auc"})
    even = {"predictions": np.full((4, 2), 0.5), "labels": np.array([0.0, 0, 1, 1])}
    assert metric.value(even, 4) == 0.5
    assert np.isnan(metric.value({**even, "labels": np.zeros(4)}, 4))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mean_squared_error", keras.metrics.MeanSquaredError()),
        ("root_mean_squared_error", keras.metrics.RootMeanSquaredError()),
        ("mean_absolute_error", keras.metrics.MeanAbsoluteError()),
        ("mean_absolute_percentage_error", keras.metrics.MeanAbsolutePercentageError()),
        ("r2", keras.metrics.R2Score()),
    ],
)
def test_errors_of_numbers_are_those_of_keras(name: str, theirs: Any) -> None:
    expected = by_keras(theirs, TARGETS, ANSWERS)
    assert message({name: {}}, NUMBERS)[name] == pytest.approx(float(expected), rel=1e-5)


def test_errors_are_those_of_what_is_predicted_and_not_of_the_logits_of_it() -> None:
    found = message({}, NUMBERS, kind="poisson")
    assert found["mean_absolute_error"] == pytest.approx(np.abs(np.exp(ANSWERS) - TARGETS).mean())


def test_r2_of_a_label_that_never_changes_is_no_number() -> None:
    sums = {"y": [30.0], "squares": [300.0], "missed": [1.0], "weight": 3.0}
    parts = {name: np.array(values) for name, values in sums.items()}
    assert np.isnan(Metric.declared({"kind": "r2"}).value(parts, 3))


@pytest.mark.parametrize(
    ("name", "settings", "theirs"),
    [
        ("binary_accuracy", {}, keras.metrics.BinaryAccuracy()),
        ("f1", {}, keras.metrics.F1Score(average="macro", threshold=0.5)),
        ("f1", {"average": "weighted"}, keras.metrics.F1Score(average="weighted", threshold=0.5)),
        ("precision", {"average": 2}, keras.metrics.Precision(class_id=2)),
        ("recall", {"average": 3}, keras.metrics.Recall(class_id=3)),
    ],
)
def test_labels_that_mark_several_classes_are_measured_as_keras_measures_them(
    name: str, settings: dict[str, Any], theirs: Any
) -> None:
    expected = by_keras(theirs, MARKS, SHARES)
    assert message({name: settings}, TAGS)[name] == pytest.approx(float(expected))


def test_auc_of_marks_is_the_mean_over_the_classes() -> None:
    areas = []
    for k in range(4):
        yes, no = SHARES[MARKS[:, k] == 1, k], SHARES[MARKS[:, k] == 0, k]
        areas.append(np.mean((yes[:, None] > no) + 0.5 * (yes[:, None] == no)))
    assert message({"auc": {}}, TAGS)["auc"] == pytest.approx(np.mean(areas))


def test_marks_of_one_of_several_labels_are_measured_as_such() -> None:
    facts = Facts(9, Feature((8,)), {"tags": Feature((4,)), "price": Feature((1,))})
    declared = {"kind": "auto", "outputs": {"tags": {"kind": "binary_cross_entropy"}}}
    metrics = Metrics.declared({"f1": {}, "r2": {}})
    found = metrics.for_data(facts, Loss.declared(declared).for_data(facts))
    numbers = ["mean_absolute_error", "r2"]
    assert sorted(found) == sorted(
        ["tags_f1", *(f"{n}_{m}" for n in facts.labels for m in numbers)]
    )


@pytest.mark.parametrize("facts", [CLASSES, NUMBERS, TAGS], ids=["classes", "numbers", "marks"])
def test_every_metric_is_the_same_whatever_is_looked_at_together(facts: Facts) -> None:
    kinds = [kind for kind, metric in Metric.kinds.items() if kind != "python"]
    suited = {
        kind: {"k": 2} if kind == "top_k_accuracy" else {}
        for kind in kinds
        if Metric.kinds[kind].suits(facts.label, marks=facts is TAGS)  # type: ignore[attr-defined]
    }
    assert len(suited) >= 5
    whole = message(suited, facts, at_once=53)
    for at_once in (1, 20):
        assert message(suited, facts, at_once) == pytest.approx(whole, rel=1e-6)


def surprise(predictions: tf.Tensor, labels: tf.Tensor, base: float) -> tf.Tensor:
    own = tf.gather(predictions, labels, batch_dims=1)
    return -tf.math.log(own) / tf.math.log(base)


def single(predictions: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(predictions)


BITS = "metrics.bits={kind: python, call: tests.metrics.test_metrics:NAME, kwargs: {base: 2.0}}"
SEVERAL = ("metrics.f1={}", "metrics.top_3={kind: top_k_accuracy, k: 3}", "metrics.auc={}")


def test_metrics_are_in_rows_and_result_and_something_may_wait_for_them(tmp_path: Any) -> None:
    asked = (
        *SEVERAL,
        BITS.replace("NAME", "surprise"),
        "allow_code=[tests]",
        "run.length=40",
        "evaluate.every=10",
        "schedule={kind: plateau, initial_value: 0.1, metric: eval_f1, mode: max, patience: 0}",
        "checkpoint.keep_best={metric: eval_auc, mode: max}",
    )
    assert trained(tmp_path, *asked) == 0
    names = ["eval_loss", "eval_accuracy", "eval_f1", "eval_top_3", "eval_auc", "eval_bits"]
    evaluated = [row for row in rows(tmp_path) if "loss" not in row]
    assert [list(row)[2:] for row in evaluated] == [[*names, "updates_per_second"]] * 4
    ended = result(tmp_path)
    assert list(ended["metrics"]) == names
    assert ended["metrics"]["eval_bits"] == pytest.approx(ended["metrics"]["eval_loss"] / np.log(2))
    assert ended["best"]["value"] == max(row["eval_auc"] for row in evaluated)


def test_what_is_usual_is_told_unless_it_is_left_out() -> None:
    assert plan("metrics.f1={}").evaluated == ["eval_loss", "eval_accuracy", "eval_f1"]
    assert plan("metrics.accuracy=null").evaluated == ["eval_loss"]
    assert list(Metrics.declared({}).for_data(NUMBERS)) == ["mean_absolute_error"]


def test_numbers_that_only_a_step_knows_are_not_compared_by_default() -> None:
    step = "loss={kind: step, call: 'tests.helpers.functions:mean_cross_entropy'}"
    numbers = "data={kind: synthetic, classes: null}"
    own, compared = "allow_code=[tests]", "loss.evaluated={kind: mean_squared_error}"
    alone = plan(numbers, step, own)
    assert alone.evaluated == ["eval_loss"]
    assert "evaluated by the step: metrics.NAME={}" in preface(alone)
    asked = plan(numbers, step, own, "metrics.mean_absolute_error={}")
    assert asked.evaluated == ["eval_loss", "eval_mean_absolute_error"]
    message = plan(numbers, step, own, compared)
    assert message.evaluated == ["eval_loss", "eval_mean_absolute_error"]
    assert "evaluated" not in preface(message)
    assert plan(step, own).evaluated == ["eval_loss", "eval_accuracy"]
    assert "evaluated" not in preface(plan(step, own))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["metrics.f2={}"], "metrics.f2 = {}: is no known metric"),
        (["metrics.f1=1"], "metrics.f1 = 1: must be a mapping"),
        (["metrics.loss={kind: f1}"], "metrics.loss = .*is no name for a metric"),
        (["metrics.top_k_accuracy={k: 10}"], "k = 10: must be below 10"),
        (["metrics.r2={}"], "metrics.r2 = 'r2': is for labels that are numbers"),
        (["metrics.binary_accuracy={}"], "is for labels that mark several classes"),
        (["metrics.recall={average: 10}"], "average = 10: must be one of the classes, 0 to 9"),
        (["metrics.recall={average: micro}"], "metrics.recall.average"),
        ([BITS.replace("NAME", "surprise")], "metrics.bits.call = .*allow_code"),
        (["checkpoint.keep_best={metric: eval_f1}"], "is not among what is evaluated"),
        (["schedule=plateau", "schedule.metric=eval_acc"], "did you mean eval_accuracy"),
    ],
)
def test_what_can_not_be_evaluated_is_refused_without_tensorflow(
    asked: list[str], message: str
) -> None:
    with pytest.raises(Refused, match=f"(?s){message}"):
        plan(*asked).check_metrics()


def test_following_the_hint_measures_marks(tmp_path: Any) -> None:
    np.savez(tmp_path / "tags.npz", x=LOGITS, y=MARKS)
    data = f"data={{kind: npz, path: {tmp_path}/tags.npz, inputs: x, labels: y, batch_size: 8}}"
    asked = (data, "model=mlp", "loss=mean_squared_error", "metrics.f1={}")
    with pytest.raises(Refused, match="is for labels that are classes") as refused:
        plan(*asked).check_metrics()
    assert refused.value.problems[0].hint.endswith(
        "; loss=binary_cross_entropy, if each number marks a class by 1"
    )
    assert "eval_f1" in plan(*asked, "loss=binary_cross_entropy").evaluated


def test_a_function_that_is_no_metric_is_refused(tmp_path: Any) -> None:
    asked = (
        "metrics.bits={kind: python, call: tests.metrics.test_metrics:single}",
        "allow_code=true",
    )
    with pytest.raises(Refused, match="return one number for each example"):
        trained(tmp_path, "run.length=5", *asked)


def test_looking_for_metrics_beforehand_leaves_a_plateau_as_it_was() -> None:
    declared = experiment("schedule=plateau", "schedule.patience=0")
    for _ in range(3):
        Plan.of(declared).check_metrics()
    assert declared.curves()["learning_rate"](0) == declared.schedule.initial_value  # type: ignore[attr-defined]
