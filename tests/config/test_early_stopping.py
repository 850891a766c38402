"""Stopping early: once evaluations bring no gain, and the same however often a run was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schedules import Refused
from tests.helpers.runs import events, experiment, plan, result, rows, trained
from trainer.config.early_stopping import EarlyStop, Standstill, finished
from trainer.runs.folder import Folder

HIGH = (
    "run.length=400",
    "evaluate.every=5",
    "schedule=constant",
    "schedule.value=0.5",
    "checkpoint.keep_best={metric: eval_loss}",
)
"""A rate at which the loss soon goes up and down."""
STOP = "evaluate.stop={metric: eval_loss, patience: 3}"


def heard(stop: EarlyStop, *found: float) -> Standstill:
    state = Standstill()
    for step, value in enumerate(found):
        state = stop.next_state(state, value, step)
    return state


def test_what_is_enough_is_what_it_is_to_keras() -> None:
    """Keras stops once `wait >= patience`, where a gain beats the best by more than min_delta."""
    stop = EarlyStop(mode="max", patience=2, min_delta=0.1)
    assert not stop.reached(heard(stop, 0.5, 0.55))
    assert stop.reached(heard(stop, 0.5, 0.55, 0.6))
    assert not stop.reached(heard(stop, 0.5, 0.55, 0.65))
    assert heard(stop, 0.5, 0.55, 0.65) == Standstill(0.65, 2, 0)


def test_what_is_no_number_is_no_gain() -> None:
    stop = EarlyStop(patience=2)
    assert stop.reached(heard(stop, float("nan"), float("nan")))
    assert heard(stop, 1.0, float("nan")) == Standstill(1.0, 0, 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("stopping") / "whole"
    assert trained(path, *HIGH, STOP) == 0
    return path


def test_a_run_is_done_once_evaluations_bring_no_gain(whole: Path) -> None:
    ended = result(whole)
    losses = [row["eval_loss"] for row in rows(whole) if "loss" not in row]
    assert ended["status"] == "done"
    assert ended["steps"] == 5 * len(losses) < 400
    assert min(losses[:-3]) == min(losses) == ended["stopped_early"]["best"]
    assert ended["stopped_early"]["step"] == ended["best"]["step"] == ended["steps"] - 15
    assert (whole / "checkpoints" / f"step-{ended['best']['step']:010d}").is_dir()
    [message] = events(whole, "ended early")
    assert message["step"] == ended["steps"]


def test_the_same_command_says_that_it_is_done(whole: Path) -> None:
    ended, declared = result(whole), experiment(*HIGH, STOP)
    assert finished(ended, declared.total_steps(), declared.evaluate.stop)
    assert not finished(ended, declared.total_steps(), None)
    assert not finished(ended, declared.total_steps(), EarlyStop(patience=4))
    assert not finished({**ended, "status": "stopped"}, 400, declared.evaluate.stop)


def test_one_that_was_stopped_on_the_way_ends_at_the_same_step_in_the_same_bits(
    whole: Path, tmp_path: Path
) -> None:
    end = result(whole)["steps"]
    for stop in (end - 12, end - 4):
        trained(tmp_path, *HIGH, STOP, f"run.stop_after={stop}")
        assert result(tmp_path)["status"] == "stopped"
    trained(tmp_path, *HIGH, STOP)
    assert result(tmp_path)["weights_digest"] == result(whole)["weights_digest"]
    assert result(tmp_path)["stopped_early"] == result(whole)["stopped_early"]
    assert rows(tmp_path) == rows(whole)


def test_more_patience_goes_on_where_it_had_ended(whole: Path, tmp_path: Path) -> None:
    assert trained(tmp_path, *HIGH, STOP) == 0
    end = result(tmp_path)["steps"]
    more = ("evaluate.stop={metric: eval_loss, patience: 6}", "resume.policy=config")
    trained(tmp_path, *HIGH, *more, f"run.stop_after={end + 5}")
    assert result(tmp_path)["steps"] == end + 5
    manifest = sorted((tmp_path / "checkpoints").glob("step-*"))[-1] / "manifest.json"
    kept = json.loads(manifest.read_text())["body"]["about"]["standstill"]
    assert kept[2] == 4 or kept[1] == end + 5
    assert Folder(tmp_path).read_result()


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("{metric: eval_los}", "evaluate.stop.metric"),
        ("{patience: 0}", "evaluate.stop.patience"),
        ("{min_delta: -1}", "evaluate.stop.min_delta"),
        ("{mode: least}", "evaluate.stop.mode"),
        ("3", "evaluate.stop"),
    ],
)
def test_what_no_run_could_be_stopped_by_is_refused(asked: str, path: str) -> None:
    with pytest.raises(Refused) as refused:
        plan(f"evaluate.stop={asked}").check_metrics()
    assert refused.value.problems[0].path == path
