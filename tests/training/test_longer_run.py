"""A run that is made longer: its end that is no longer one leaves no trace."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.runs import result, rows, trained

PLATEAU = ("schedule=plateau", "schedule.patience=0", "schedule.min_delta=0.5")
CASES: dict[str, tuple[str, ...]] = {
    "a plateau": (*PLATEAU, "evaluate.every=10"),
    "early stopping": (
        *("schedule=constant", "evaluate.every=10"),
        "evaluate.stop={patience: 6, min_delta: 0.5}",
    ),
    "the best": (
        *("schedule=constant", "evaluate.every=40", "checkpoint.keep_best={metric: eval_loss}"),
        "checkpoint.keep=1",
    ),
    "an end at which one was due": (*PLATEAU, "evaluate.every=11"),
    "epochs": (*PLATEAU, "evaluate.every=0.45 epochs"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_run_that_had_this_length_from_the_start(case: str, tmp_path: Path) -> None:
    asked = (*CASES[case], "log.every=10", "log.csv={}")
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    trained(whole, "run.length=75", *asked)
    trained(longer, "run.length=55", *asked)
    trained(longer, "run.length=75", *asked)
    assert rows(longer) == rows(whole)
    ended, expected = result(longer), result(whole)
    for name in ("weights_digest", "metrics", "best", "stopped_early", "steps"):
        assert ended.get(name) == expected.get(name)
    assert table(longer) == table(whole)
    assert points(longer) == points(whole)
    if case == "the best":
        assert [p.name for p in (longer / "checkpoints").glob("*40")] == ["step-0000000040"]


def table(path: Path) -> list[dict[str, Any]]:
    """The rows of the CSV tracker."""
    with (path / "metrics.csv").open(newline="") as file:
        return [{**row, "updates_per_second": None} for row in csv.DictReader(file)]


def points(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars as TensorBoard shows them: a start voids what came before it from its step on."""
    shown: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(path.glob("events.out*"), key=lambda file: file.stat().st_mtime_ns):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            if event.HasField("session_log"):
                shown = {
                    tag: [point for point in found if point[0] < event.step]
                    for tag, found in shown.items()
                }
            for value in event.summary.value:
                if value.HasField("simple_value") and value.tag != "updates_per_second":
                    shown.setdefault(value.tag, []).append((event.step, value.simple_value))
    return shown


@pytest.mark.parametrize("stop", [20, 25])
def test_a_tracker_has_the_evaluation_before_a_stop_once(stop: int, tmp_path: Path) -> None:
    asked = ("run.length=40", "evaluate.every=20", "log.every=10", "log.csv={}")
    trained(tmp_path / "whole", *asked)
    trained(tmp_path / "parts", *asked, f"run.stop_after={stop}")
    trained(tmp_path / "parts", *asked)
    assert points(tmp_path / "parts") == points(tmp_path / "whole")
    assert table(tmp_path / "parts") == table(tmp_path / "whole")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("stopped")
    assert trained(path, "run.length=60", "warmup=linear", "run.stop_after=30") == 0
    return path


def test_the_hint_keeps_what_was_applied(stopped: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(stopped, tmp_path / "run"))
    with pytest.raises(Refused) as refused:
        trained(path, "run.length=120", "warmup=linear")
    rule, hint = str(refused.value).split("hint: ")
    assert "was 60 steps, and would change values that were applied" in rule
    assert hint == (
        "warmup.length=3 warmup.decay_steps=3 schedule.decay_steps=57 keeps them; "
        "resume.policy=config goes on all the same"
    )
    keeping = hint.split(" keeps")[0].split()
    trained(tmp_path / "whole", "run.length=120", "warmup=linear", *keeping)
    assert trained(path, "run.length=120", "warmup=linear", *keeping) == 0
    assert rows(path) == rows(tmp_path / "whole")


def test_the_other_hint_goes_on_all_the_same(stopped: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(stopped, tmp_path / "run"))
    assert trained(path, "run.length=120", "warmup=linear", "resume.policy=config") == 0
    trained(tmp_path / "whole", "run.length=120", "warmup=linear")
    rate = {row["step"]: row.get("learning_rate") for row in rows(path) if "loss" in row}
    whole = {row["step"]: row["learning_rate"] for row in rows(tmp_path / "whole") if "loss" in row}
    assert [rate[t] for t in range(30, 120)] == [whole[t] for t in range(30, 120)]
    assert rate[29] != whole[29]


def test_evaluations_that_would_have_come_elsewhere_are_refused_and_the_hint_keeps_them(
    tmp_path: Path,
) -> None:
    asked = ("schedule=constant", "evaluate.every=20%")
    trained(tmp_path, "run.length=40", *asked, "run.stop_after=20")
    with pytest.raises(Refused, match=r"evaluate\.every=8 keeps them"):
        trained(tmp_path, "run.length=80", *asked)
    assert trained(tmp_path, "run.length=80", "schedule=constant", "evaluate.every=8") == 0


@pytest.mark.parametrize("policy", ["refuse", "config"])
def test_no_policy_makes_a_run_shorter_than_what_is_done(
    policy: str, stopped: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(stopped, tmp_path / "run"))
    with pytest.raises(Refused, match="is shorter than the 30 updates that were made"):
        trained(path, "run.length=20", "warmup=linear", f"resume.policy={policy}")
