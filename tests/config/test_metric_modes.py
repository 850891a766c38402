"""Which way a metric gets better: the metric says it, unless the config does; else it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schedules import Refused
from tests.helpers.runs import experiment, plan, result, rows, trained
from trainer.commands.checks import look_over
from trainer.metrics import Metric
from trainer.metrics.direction import direction

HIGHER = {
    "accuracy", "binary_accuracy", "top_k_accuracy", "precision", "recall", "f1", "auc", "r2"
}  # fmt: skip


def test_every_metric_knows_its_direction_but_the_users_own() -> None:
    known = {kind: metric.better for kind, metric in Metric.kinds.items()}  # type: ignore[attr-defined]
    assert {kind for kind, better in known.items() if better == "max"} == HIGHER
    assert {kind for kind, better in known.items() if better is None} == {"python"}


@pytest.mark.parametrize(
    ("name", "entries", "expected"),
    [
        ("eval_loss", {}, "min"),
        ("eval_mean_absolute_error", {}, "min"),
        ("eval_f1", {"f1": {}}, "max"),
        ("eval_f1", {"f1": {"kind": "mean_squared_error"}}, "min"),
        ("eval_mine", {"mine": {"kind": "python"}}, None),
        ("eval_accuracy", {"accuracy": None}, "max"),
        ("eval_speed", {}, None),
    ],
)
def test_a_name_in_rows_leads_to_the_direction(
    name: str, entries: dict[str, Any], expected: str | None
) -> None:
    assert direction(name, entries) == expected


def test_every_place_that_names_a_metric_gets_its_direction() -> None:
    declared = experiment(
        "evaluate.stop={metric: eval_accuracy}", "checkpoint.keep_best={metric: eval_accuracy}",
        "schedule={kind: sequence, parts: {main: {kind: plateau, initial_value: 0.1, "
        "metric: eval_accuracy}}}",
        "optimizer.momentum={kind: plateau, initial_value: 0.9, metric: eval_loss}",
    )  # fmt: skip
    tree = declared.model_dump()
    assert tree["evaluate"]["stop"]["mode"] == tree["checkpoint"]["keep_best"]["mode"] == "max"
    assert declared.schedule.model_dump()["parts"]["main"]["mode"] == "max"
    assert tree["optimizer"]["momentum"]["mode"] == "min"


def test_what_the_config_says_stays() -> None:
    declared = experiment("evaluate.stop={metric: eval_accuracy, mode: min}")
    assert declared.evaluate.stop
    assert declared.evaluate.stop.mode == "min"


MINE = "metrics.mine={kind: python, call: tests.config.test_metric_modes:missed}"


def missed(predictions: Any, labels: Any) -> Any:
    """Whether each prediction is wrong: a metric that says nothing of which way is better."""
    import tensorflow as tf

    return tf.cast(tf.argmax(predictions, 1, tf.int32) != labels, tf.float32)


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("evaluate.stop={metric: eval_mine}", "evaluate.stop.mode"),
        ("checkpoint.keep_best={metric: eval_mine}", "checkpoint.keep_best.mode"),
        ("schedule={kind: plateau, initial_value: 0.1, metric: eval_mine}", "schedule.mode"),
    ],
)
def test_a_metric_that_does_not_know_is_asked_for(asked: str, path: str) -> None:
    with pytest.raises(Refused) as refused:
        look_over(plan(MINE, "allow_code=true", asked))
    [problem] = refused.value.problems
    assert problem.path == path
    assert "whether a higher eval_mine is better" in problem.rule


def test_a_plateau_of_accuracy_cuts_as_with_mode_max(tmp_path: Path) -> None:
    asked = ("run.length=60", "evaluate.every=10", "schedule=plateau", "schedule.patience=0",
             "schedule.initial_value=0.02", "schedule.metric=eval_accuracy")  # fmt: skip
    for name, more in (
        ("left", ()),
        ("max", ["schedule.mode=max"]),
        ("min", ["schedule.mode=min"]),
    ):
        assert trained(tmp_path / name, *asked, *more) == 0
    left, high, low = (rows(tmp_path / name) for name in ("left", "max", "min"))
    assert left == high
    assert left[-1] != low[-1]  # where accuracy rises, every evaluation made a cut


def test_the_best_checkpoint_is_that_of_the_highest_accuracy(tmp_path: Path) -> None:
    assert trained(tmp_path, "run.length=60", "evaluate.every=10",
                   "checkpoint.keep_best={metric: eval_accuracy}") == 0  # fmt: skip
    accuracies = [row["eval_accuracy"] for row in rows(tmp_path) if "eval_accuracy" in row]
    assert result(tmp_path)["best"]["value"] == max(accuracies)
