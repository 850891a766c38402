"""A run from beginning to end: what it applies, what it leaves, and going on after a stop."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from schedules import Refused
from trainer.configuration import CONF
from trainer.experiment import Experiment
from trainer.folder import Folder

from .runs import experiment, result, rows, trained

SHORT = "run.length=40"


def files(path: Path) -> set[str]:
    return {file.name.split(".17")[0] for file in path.iterdir()}


def test_the_folder_holds_everything_about_the_run(tmp_path: Path) -> None:
    assert trained(tmp_path, SHORT, "evaluate.every=20") == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "result.json", "checkpoints", "chosen.json"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    ended = result(tmp_path)
    assert (ended["status"], ended["steps"]) == ("done", 40)
    assert len(ended["weights_digest"]) == 64
    assert ended["versions"]["tensorflow"] == tf.__version__
    assert ended["metrics"].keys() == {"eval_loss", "eval_accuracy"}


def test_the_config_in_the_folder_declares_the_same_experiment(tmp_path: Path) -> None:
    declared = experiment(
        "warmup=linear", "optimizer.momentum={kind: linear, initial_value: 0.5, end_value: 0.9}"
    )
    Folder(tmp_path).declare(declared)
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert Experiment.declared(written) == declared


def test_every_update_and_every_evaluation_has_one_row(tmp_path: Path) -> None:
    trained(tmp_path, SHORT, "evaluate.every=15")
    told = rows(tmp_path, timed=True)
    updates = [row for row in told if "loss" in row]
    assert [row["step"] for row in updates] == list(range(40))
    assert [row["step"] for row in told if "eval_loss" in row] == [15, 30, 40]
    assert all(row["updates_per_second"] > 0 for row in updates)
    assert [row["epoch"] for row in updates] == [step * 64 / 1438 for step in range(40)]
    assert updates[-1]["loss"] < updates[0]["loss"]


def test_a_row_is_written_every_so_often_and_for_the_last_update(tmp_path: Path) -> None:
    trained(tmp_path, SHORT, "log.every=12", "evaluate.every=40")
    assert [row["step"] for row in rows(tmp_path) if "loss" in row] == [11, 23, 35, 39]


def test_tensorboard_events_hold_the_same_scalars(tmp_path: Path) -> None:
    trained(tmp_path, SHORT, "evaluate.every=20")
    (path,) = tmp_path.glob("events.out.tfevents*")
    events = list(tf.compat.v1.train.summary_iterator(str(path)))
    assert events[0].file_version == "brain.Event:2"
    told = [
        (event.step, value.tag, value.simple_value)
        for event in events
        for value in event.summary.value
        if value.tag in ("loss", "eval/loss")
    ]
    expected = [
        (row["step"], name.replace("_", "/"), np.float32(row[name]))
        for row in rows(tmp_path)
        for name in ("loss", "eval_loss")
        if name in row
    ]
    assert told == expected


@pytest.mark.parametrize(
    "schedule", sorted(path.stem for path in (CONF / "schedule").glob("*.yaml"))
)
def test_what_was_applied_is_what_the_preview_draws(schedule: str, tmp_path: Path) -> None:
    asked = (
        f"schedule={schedule}",
        "allow_code=true",
        "optimizer.momentum={kind: linear, initial_value: 0.5, end_value: 0.95}",
        "run.length=1 epoch",
        "evaluate.every=100%",
    )
    trained(tmp_path, *asked)
    curves = experiment(*asked).curves()
    updates = [row for row in rows(tmp_path) if "loss" in row]
    steps = np.array([row["step"] for row in updates])
    assert len(steps) == 23
    for name, curve in curves.items():
        np.testing.assert_array_equal([row[name] for row in updates], curve(steps))


MOMENTUM = "optimizer.momentum={kind: linear, initial_value: 0.5, end_value: 0.95}"
RECIPES = {
    "momentum": [],
    "adam": ["optimizer=adam", "schedule.initial_value=0.001", "model.dropout=0.3"],
    "scheduled": ["warmup=linear", MOMENTUM],
    "noisy": ["schedule=noisy_linear_cosine", "optimizer=rmsprop", "run.steps_per_call=7"],
    "plateau": [
        "schedule=plateau",
        "schedule.patience=0",
        "schedule.min_delta=9",
        "evaluate.every=5",
    ],
    "xla": ["run.compile=xla", "model.dropout=0.2"],
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_stopping_and_going_on_ends_in_the_same_bits(recipe: str, tmp_path: Path) -> None:
    asked = ("run.length=50", "checkpoint.every=9", *RECIPES[recipe])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trained(whole, *asked)
    for stop in (13, 31):
        trained(broken, *asked, f"run.stop_after={stop}")
        assert (result(broken)["status"], result(broken)["steps"]) == ("stopped", stop)
    trained(broken, *asked)
    assert result(broken)["weights_digest"] == result(whole)["weights_digest"]
    assert rows(broken) == rows(whole)


def test_the_number_of_updates_a_call_changes_no_bit(tmp_path: Path) -> None:
    digests = set()
    for count in ("1", "7", "auto"):
        trained(tmp_path / count, SHORT, f"run.steps_per_call={count}")
        digests.add(result(tmp_path / count)["weights_digest"])
    assert len(digests) == 1


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        trained(tmp_path / seed, "run.length=3", f"run.seed={seed}")
    assert result(tmp_path / "1")["weights_digest"] != result(tmp_path / "2")["weights_digest"]


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    trained(tmp_path / "whole", SHORT)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "metrics.jsonl").write_text('{"step": 0, "loss": 9')
    trained(broken, SHORT)
    assert rows(broken) == rows(tmp_path / "whole")


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "whole", SHORT, "checkpoint.every=10")
    broken = tmp_path / "broken"
    trained(broken, SHORT, "checkpoint.every=10", "run.stop_after=30")
    (broken / "checkpoints" / "step-0000000030" / "state.npz").write_bytes(b"gone")
    trained(broken, SHORT, "checkpoint.every=10")
    told = capsys.readouterr().out
    assert "left out a damaged checkpoint, step-0000000030" in told
    assert "going on at step 20" in told
    assert rows(broken) == rows(tmp_path / "whole")


def test_a_changed_config_on_an_old_folder_is_refused_with_the_differences(tmp_path: Path) -> None:
    trained(tmp_path, SHORT, "run.stop_after=5")
    with pytest.raises(Refused) as refused:
        trained(tmp_path, SHORT, "schedule.initial_value=0.5", "run.seed=7")
    assert [str(problem).split("\n")[0] for problem in refused.value.problems] == [
        "run.seed = 7: was 1 when this folder's run began",
        "schedule.initial_value = 0.5: was 0.02 when this folder's run began",
    ]


def test_a_checkpoint_of_another_optimizer_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path, SHORT, "run.stop_after=5")
    (tmp_path / "config.yaml").unlink()
    assert trained(tmp_path, SHORT, "optimizer=adam") == 1
    assert "its optimizer is momentum, and this run's is adam" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_run_and_says_what_to_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(tmp_path, SHORT, "schedule=constant", "schedule.value=1e30") == 1
    told = capsys.readouterr().err
    assert "the loss became" in told
    assert "which applied learning_rate = 1e+30" in told
    assert "hint: " in told
    assert result(tmp_path)["status"] == "failed"
    assert result(tmp_path)["reason"] in told


def test_a_signal_lets_the_call_finish_and_the_same_command_goes_on(tmp_path: Path) -> None:
    asked = ("run.length=4000", "log.every=100", "checkpoint.every=100%", "evaluate.every=100%")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trained(whole, *asked)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    code = trained(broken, *asked, "run.steps_per_call=3")
    timer.join()
    assert code == 128 + signal.SIGTERM
    assert result(broken)["status"] == "interrupted"
    assert 0 < result(broken)["steps"] < 4000
    trained(broken, *asked)
    assert rows(broken) == rows(whole)
    assert result(broken)["weights_digest"] == result(whole)["weights_digest"]


def test_a_second_writer_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    with Folder(tmp_path).locked(), pytest.raises(Refused, match=f"process {os.getpid()} on "):  # noqa: SIM117
        with Folder(tmp_path).locked():
            pass
    with Folder(tmp_path).locked():
        pass
