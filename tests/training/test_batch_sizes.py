"""Going on with another batch size: the position of a run is the examples that it has seen."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schedules import Clock, Refused, load
from tests.helpers.runs import events, files, plan, result, rows, trained
from trainer.config.plan import Plan
from trainer.data.feeds.order import ExampleOrder
from trainer.runs.checkpoints import CheckpointId, Checkpoints
from trainer.runs.folder import Folder
from trainer.training.run_config import declare

EXAMPLES = 1438
"""The training examples of the digits."""
ASKED = (
    *("run.length=4 epochs", "run.stop_after=30", "evaluate.every=1 epoch", "optimizer=adam"),
    *("model.dropout=0.3", "schedule.initial_value=0.01", "schedule.alpha=0.1"),
    "optimizer.beta_1={kind: linear, initial_value: 0.9, end_value: 0.5, decay_steps: 50}",
)
LARGER = (*ASKED[:1], *ASKED[2:], "data.batch_size=100", "resume.policy=config")
SEEN = 30 * 64
"""The examples that the run had seen when it went on."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("stopped")
    assert trained(path, *ASKED) == 0
    return path


@pytest.fixture(scope="module")
def continued(stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copytree(stopped, tmp_path_factory.mktemp("continued") / "run"))
    assert trained(path, *LARGER) == 0
    return path


def seen_before(step: int) -> int:
    """The examples that the updates before one had."""
    return step * 64 if step < 30 else SEEN + (step - 30) * 100


def test_no_example_is_seen_again_and_no_epoch_is_trained_too_many(continued: Path) -> None:
    updates = [row for row in rows(continued) if "loss" in row]
    assert [row["epoch"] for row in updates] == [
        seen_before(row["step"]) / EXAMPLES for row in updates
    ]
    total = 90 * 64  # the 4 epochs in whole batches, as the run began with them
    last = result(continued)["steps"]
    assert seen_before(last - 1) < total <= seen_before(last)
    stream = ExampleOrder(1, EXAMPLES, 1).indices(0, seen_before(last)).ravel()
    going_on = ExampleOrder(1, EXAMPLES, 100, plan_of(continued).batch_sizes)
    np.testing.assert_array_equal(going_on.indices(30, last - 30).ravel(), stream[SEEN:])


def test_schedules_go_on_from_the_examples_or_from_the_steps_that_they_count(
    continued: Path,
) -> None:
    """A run of single examples is the oracle for lengths in epochs."""
    by_example = load(
        {"kind": "cosine", "initial_value": 0.01, "alpha": 0.1}, Clock(total_steps=90 * 64)
    )
    by_step = load(
        {"kind": "linear", "initial_value": 0.9, "end_value": 0.5, "decay_steps": 50}, Clock()
    )
    for row in rows(continued):
        if "loss" in row:
            assert row["learning_rate"] == by_example(seen_before(row["step"]))
            assert row["beta_1"] == by_step(row["step"])


def test_what_is_drawn_is_what_is_applied(continued: Path) -> None:
    curves = plan_of(continued).curves
    updates = [row for row in rows(continued) if "loss" in row]
    steps = np.array([row["step"] for row in updates])
    for name, curve in curves.items():
        np.testing.assert_array_equal([row[name] for row in updates], curve(steps))
    marks = [moment for curve in curves.values() for _, moment in curve.marks()]
    assert all(0 <= moment <= len(steps) for moment in marks)


def test_evaluations_come_at_the_ends_of_epochs(continued: Path) -> None:
    evaluated = [row["step"] for row in rows(continued) if "eval_loss" in row]
    last = result(continued)["steps"]
    due = [
        next(step for step in range(last + 1) if seen_before(step) >= epoch * EXAMPLES)
        for epoch in (1, 2, 3, 4)
    ]
    assert evaluated == sorted({*due, last})


@pytest.mark.parametrize("stop", [pytest.param(31, marks=pytest.mark.slow), 50])
def test_stopped_again_it_goes_on_in_the_same_bits(
    stop: int, stopped: Path, continued: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(stopped, tmp_path / "run"))
    trained(path, *LARGER, f"run.stop_after={stop}")
    shutil.rmtree(next((path / "checkpoints").glob(f"step-*{stop}")))  # as a kill would leave it
    shutil.copytree(
        next((stopped / "checkpoints").glob("step-*30")),
        path / "checkpoints" / "step-0000000030",
        dirs_exist_ok=True,
    )
    trained(path, *LARGER, "run.stop_after=40")
    trained(path, *LARGER)
    assert rows(path) == rows(continued)
    assert result(path)["weights_digest"] == result(continued)["weights_digest"]


def plan_of(path: Path) -> Plan:
    """The plan of the run as the same command has it."""
    return declare(Folder(path), plan(*LARGER))


def test_a_stream_from_the_host_gives_the_same_run(
    stopped: Path, continued: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(stopped, tmp_path / "run"))
    trained(path, *LARGER, "data.keep=stream")
    assert rows(path) == rows(continued)
    assert result(path)["weights_digest"] == result(continued)["weights_digest"]


def test_lengths_in_steps_stay_steps(tmp_path: Path) -> None:
    asked = ("run.length=40", "schedule={kind: linear, initial_value: 0.1, end_value: 0.0}")
    trained(tmp_path, *asked, "run.stop_after=25")
    trained(tmp_path, *asked, "data.batch_size=16", "resume.policy=config")
    updates = [row for row in rows(tmp_path) if "loss" in row]
    curve = load({"kind": "linear", "initial_value": 0.1, "end_value": 0.0}, Clock(40))
    assert [row["learning_rate"] for row in updates] == curve(np.arange(40)).tolist()
    assert updates[-1]["epoch"] == (25 * 64 + 14 * 16) / EXAMPLES


@pytest.mark.parametrize(
    "schedule",
    [
        "schedule={kind: polynomial, initial_value: 0.1, decay_steps: 30, end_value: 0.0}",
        "schedule={kind: noam, d_model: 64, warmup_steps: 1 epoch}",
        "schedule={kind: noise, std: 0.1, schedule: {kind: cosine, initial_value: 0.1}}",
    ],
)
def test_what_counts_steps_and_epochs_is_refused_and_the_hint_is_true(
    schedule: str, tmp_path: Path
) -> None:
    warmup = "warmup={kind: linear, initial_value: 0.0, end_value: 1.0, length: 1 epoch}"
    asked = (schedule, "run.length=3 epochs", *([warmup] if "polynomial" in schedule else []))
    trained(tmp_path, *asked, "run.stop_after=5")
    before = files(tmp_path)
    with pytest.raises(Refused, match=r"^data\.batch_size = 32: was 64 up to step 5, and learn"):
        trained(tmp_path, *asked, "data.batch_size=32", "resume.policy=config")
    assert files(tmp_path) == before
    if "polynomial" in schedule:
        steps = (schedule, "run.length=3 epochs", warmup.replace("1 epoch", "10"))
        assert trained(tmp_path, *steps, "data.batch_size=32", "resume.policy=config") == 0
    else:
        assert trained(tmp_path, *asked, "data.batch_size=64", "resume.policy=config") == 0


def test_a_rewind_goes_no_further_back_than_to_where_the_batch_size_changed(
    tmp_path: Path,
) -> None:
    asked = (
        *("run.length=60", "checkpoint.every=20", "run.on_nonfinite=rewind"),
        *("schedule={kind: table, values: [0.01, 1.0e+30], every: 30}", "run.rewind_limit=1"),
    )
    trained(tmp_path, *asked, "run.stop_after=25")
    larger = ("data.batch_size=100", "resume.policy=config")
    trained(tmp_path, *asked, *larger)
    (rewound,) = events(tmp_path, "rewound")
    assert "back to step 25" in rewound["said"]
    first = next(row for row in rows(tmp_path) if row["step"] == 26)
    assert first["learning_rate"] == 0.005
    assert first["epoch"] == (25 * 64 + 100) / EXAMPLES


def test_a_checkpoint_that_tells_no_batch_size_goes_on_with_that_of_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("run.length=40", "schedule=constant")
    with monkeypatch.context() as earlier:
        save = Checkpoints.write

        def write(self: Checkpoints, checkpoint: CheckpointId, arrays: Any, about: Any) -> Path:
            about = {name: value for name, value in about.items() if name != "batch_sizes"}
            return save(self, checkpoint, arrays, about)

        earlier.setattr(Checkpoints, "write", write)
        trained(tmp_path, *asked, "run.stop_after=5")
    larger = ("data.batch_size=100", "resume.policy=config")
    with pytest.raises(Refused, match="does not say how many examples were seen"):
        trained(tmp_path, *asked, *larger)
    assert trained(tmp_path, *asked, "run.stop_after=10") == 0
    assert trained(tmp_path, *asked, *larger) == 0
    assert rows(tmp_path)[-2]["epoch"] == (10 * 64 + 29 * 100) / EXAMPLES
