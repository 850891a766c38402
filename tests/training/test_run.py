"""A run from beginning to end: what it applies, what it leaves, and going on after a stop."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from schedules import Refused
from tests.helpers.continuation import goes_on_exactly
from tests.helpers.runs import events, experiment, in_the_middle, result, rows, trained
from trainer.config.conf_folder import CONF
from trainer.config.experiment import Experiment
from trainer.config.plan import Plan
from trainer.runs.folder import Folder
from trainer.training.run_config import declare
from trainer.training.session import Session

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
    declare(Folder(tmp_path), Plan.of(declared))
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert Experiment.declared(written) == declared


def test_every_update_and_every_evaluation_has_one_row(tmp_path: Path) -> None:
    trained(tmp_path, SHORT, "evaluate.every=15")
    message = rows(tmp_path, timed=True)
    updates = [row for row in message if "loss" in row]
    assert [row["step"] for row in updates] == list(range(40))
    assert [row["step"] for row in message if "eval_loss" in row] == [15, 30, 40]
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
    message = [
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
    assert message == expected


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
    goes_on_exactly(tmp_path, *asked, stops=(13, 31))


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
    message = capsys.readouterr().out
    assert "left out a damaged checkpoint, step-0000000030" in message
    assert "going on at step 20" in message
    assert rows(broken) == rows(tmp_path / "whole")


def test_a_changed_config_on_an_old_folder_is_refused_with_the_differences(tmp_path: Path) -> None:
    trained(tmp_path, SHORT, "run.stop_after=5")
    with pytest.raises(Refused) as refused:
        trained(tmp_path, SHORT, "schedule.initial_value=0.5", "run.seed=7")
    (problem,) = refused.value.problems
    assert (problem.path, problem.rule.splitlines()) == (
        "hydra.run.dir",
        [
            "holds a run that was declared otherwise",
            "                          in the folder  now",
            "  run.seed                1              7",
            "  schedule.initial_value  0.02           0.5",
        ],
    )


def test_the_folders_config_may_win_over_a_changed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "whole", SHORT)
    broken = tmp_path / "broken"
    trained(broken, SHORT, "run.stop_after=5")
    trained(broken, SHORT, "schedule.initial_value=0.5", "resume.policy=checkpoint")
    assert "schedule.initial_value  0.02           0.5" in capsys.readouterr().out
    assert rows(broken) == rows(tmp_path / "whole")


def test_a_changed_config_may_win_over_the_folders(tmp_path: Path) -> None:
    trained(tmp_path, SHORT, "run.stop_after=5")
    trained(tmp_path, SHORT, "schedule=constant", "schedule.value=0.5", "resume.policy=config")
    rates = [row["learning_rate"] for row in rows(tmp_path) if "loss" in row]
    assert rates[0] == 0.02
    assert rates[5:] == [0.5] * 35
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["schedule"]["value"] == 0.5


def test_a_run_is_made_longer_where_its_past_stays_the_same(tmp_path: Path) -> None:
    steady = ("schedule={kind: exponential, initial_value: 0.1, decay_rate: 0.5, decay_steps: 9}",)
    trained(tmp_path / "whole", "run.length=40", "evaluate.every=10", *steady)
    broken = tmp_path / "broken"
    for length in (20, 40):
        trained(broken, f"run.length={length}", "evaluate.every=10", *steady)
    assert rows(broken) == rows(tmp_path / "whole")
    assert result(broken)["weights_digest"] == result(tmp_path / "whole")["weights_digest"]


def test_a_longer_run_that_would_have_been_another_is_refused_with_the_first_step(
    tmp_path: Path,
) -> None:
    asked = ("schedule=piecewise_constant", "schedule.values=[0.1,0.01]")
    trained(tmp_path, "run.length=20", "schedule.boundaries=['25%']", *asked)
    with pytest.raises(Refused) as refused:
        trained(tmp_path, "run.length=40", "schedule.boundaries=['25%']", *asked)
    assert str(refused.value) == (
        "run.length = '40 steps': was 20 steps, and would change values that were applied: "
        "learning_rate was 0.01 at step 6, and would have been 0.1\n"
        "  hint: schedule.boundaries=[5] keeps them; resume.policy=config goes on all the same"
    )


def test_a_run_is_not_made_shorter_than_what_is_done(tmp_path: Path) -> None:
    trained(tmp_path, "run.length=20", "schedule=constant")
    with pytest.raises(Refused, match="is shorter than the 20 updates that were made"):
        trained(tmp_path, "run.length=10", "schedule=constant")


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
    message = capsys.readouterr().err
    assert "the loss became" in message
    assert "which applied learning_rate = 1e+30" in message
    assert "hint: " in message
    assert result(tmp_path)["status"] == "failed"
    assert result(tmp_path)["reason"] in message


def test_a_signal_lets_the_call_finish_and_the_same_command_goes_on(tmp_path: Path) -> None:
    asked = ("run.length=4000", "log.every=100", "checkpoint.every=100%", "evaluate.every=100%")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trained(whole, *asked)
    killer = in_the_middle(broken, lambda: os.kill(os.getpid(), signal.SIGTERM))
    code = trained(broken, *asked, "run.steps_per_call=3")
    killer.join()
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


def test_an_update_made_again_with_other_bits_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a kill, when the machine has changed: rows go further than the checkpoint."""
    asked = (SHORT, "checkpoint.every=10")
    trained(tmp_path, *asked, "run.stop_after=25")
    shutil.rmtree(tmp_path / "checkpoints" / "step-0000000025")
    metrics = tmp_path / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    changed = {**json.loads(lines[22]), "loss": 1.0}
    metrics.write_text("\n".join([*lines[:22], json.dumps(changed), *lines[23:]]) + "\n")
    capsys.readouterr()
    trained(tmp_path, *asked)
    assert "update 22, made again after a kill, gave other bits" in capsys.readouterr().out
    assert [row["at"] for row in events(tmp_path, "departed")] == [22]


def test_updates_made_again_are_the_same_and_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (SHORT, "checkpoint.every=10")
    trained(tmp_path, *asked, "run.stop_after=25")
    shutil.rmtree(tmp_path / "checkpoints" / "step-0000000025")
    trained(tmp_path, *asked)
    assert "other bits" not in capsys.readouterr().out
    assert not events(tmp_path, "departed")


def test_a_full_disk_stops_nothing_and_costs_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (SHORT, "checkpoint.every=10", "run.steps_per_call=1")
    whole, full = tmp_path / "whole", tmp_path / "full"
    trained(whole, *asked)
    trained(full, *asked, "run.stop_after=5")
    write, save, room = os.write, Session.save, {"bytes": 100}

    def on_full_disk(descriptor: int, data: bytes) -> int:
        if not room["bytes"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room["bytes"]])
        room["bytes"] -= written
        return written

    def saving(session: Session) -> None:
        session.writer.finish()  # as a slower model's would be by now
        if session.step == 30:
            room["bytes"] = 10**6
        save(session)

    monkeypatch.setattr("trainer.runs.atomic_files.os.write", on_full_disk)
    monkeypatch.setattr(Session, "save", saving)
    assert trained(full, *asked) == 0
    message = capsys.readouterr().out
    assert message.count("No space left on device") == 1
    assert "no checkpoint of step 10 " in message
    assert "the disk takes checkpoints again, from step 30 on" in message
    assert rows(full) == rows(whole)
    assert [row["step"] for row in events(full, "not saved")] == [20]
    assert result(full)["weights_digest"] == result(whole)["weights_digest"]


def test_a_disk_that_stays_full_fails_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (SHORT, "checkpoint.every=10")
    trained(tmp_path / "whole", *asked)
    full = tmp_path / "full"
    trained(full, *asked, "run.stop_after=10")

    def refusing(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("trainer.runs.checkpoints.np.savez", refusing)
        assert trained(full, *asked) == 1
    assert "the last checkpoint could not be written" in result(full)["reason"]
    assert [path.name for path in (full / "checkpoints").iterdir()] == ["step-0000000010"]
    trained(full, *asked)
    assert rows(full) == rows(tmp_path / "whole")


def test_rows_that_wait_too_long_for_the_disk_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trainer.runs.atomic_files.MAX_HELD_BYTES", 1000)
    monkeypatch.setattr("trainer.runs.atomic_files.os.write", refusing)
    assert trained(tmp_path, SHORT, "run.steps_per_call=1") == 1
    assert "took no line for so long" in result(tmp_path)["reason"]


def test_a_folder_that_vanishes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (SHORT, "checkpoint.every=10", "run.steps_per_call=1")
    whole, gone = tmp_path / "whole", tmp_path / "gone"
    trained(whole, *asked)
    save = Session.save

    def saving(session: Session) -> None:
        session.writer.finish()  # as a slower model's would be by now
        if session.step == 20:
            shutil.rmtree(gone)
        if session.step == 40:
            gone.mkdir()
        save(session)

    monkeypatch.setattr(Session, "save", saving)
    assert trained(gone, *asked) == 0
    message = capsys.readouterr().out
    assert message.count("No such file or directory") == 1
    assert "no checkpoint of step 20 " in message
    assert rows(gone) == rows(whole)
    assert result(gone)["weights_digest"] == result(whole)["weights_digest"]
    assert [path.name for path in (gone / "checkpoints").iterdir()] == ["step-0000000040"]


def test_the_best_checkpoint_is_saved_whenever_it_is_found(tmp_path: Path) -> None:
    best = "checkpoint.keep_best={metric: eval_accuracy, mode: max}"
    asked = ("checkpoint.every=100%", "checkpoint.keep=1", "evaluate.every=5", best)
    trained(tmp_path, SHORT, *asked, "checkpoint.keep_every=16")
    evaluated = {row["step"]: row["eval_accuracy"] for row in rows(tmp_path) if "loss" not in row}
    first_best = max(evaluated, key=evaluated.__getitem__)
    assert result(tmp_path)["best"] == {"value": evaluated[first_best], "step": first_best}
    kept = {int(path.name[5:]) for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {16, 32, 40, first_best}


def test_a_folder_whose_run_was_refused_takes_the_mended_config(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="means no weight"):
        trained(tmp_path, SHORT, "optimizer.groups={x: {paths: ['none*']}}")
    assert trained(tmp_path, SHORT, "optimizer.groups={x: {paths: ['*/bias']}}") == 0
