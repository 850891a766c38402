"""Sweeps whose jobs train side by side, as people type them, beside the same jobs alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.types import HydraContext
from omegaconf import OmegaConf

from tests.helpers.runs import SMALL, events, result, rows, trained
from trainer.runs.folder import Folder
from trainer.sweeps.vectorized.launcher import VectorizedLauncher

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
SWEEP = ("-m", "hydra/launcher=vectorized", *SMALL, "hydra.sweep.dir=all")


def sweep(cwd: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainer", *SWEEP, *asked],
        cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def assert_as_alone(found: Path, alone: Path) -> None:
    """Whether every row tells of the same update, and the same to float32's tolerance."""
    message, expected = (
        [{name: row[name] for name in row if name != "updates_per_second"} for row in rows(path)]
        for path in (found, alone)
    )
    assert [list(row) for row in message] == [list(row) for row in expected]
    for row, other in zip(message, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-6)
        applied = {name for name in row if name not in ("loss", "eval_loss")}
        assert {name: row[name] for name in applied} == {name: other[name] for name in applied}


def test_jobs_side_by_side_are_as_alone_and_fail_alone(tmp_path: Path) -> None:
    common = ("run.length=12", "evaluate.every=5", "checkpoint.every=6")
    asked = ("optimizer=momentum,adam", "schedule.initial_value=0.05,1e30", "run.seed=1,2")
    done = sweep(tmp_path, *common, *asked)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "jobs 0, 1, 2, 3: 4 side by side in one program" in done.stdout
    assert "jobs 4, 5, 6, 7: 4 side by side in one program" in done.stdout
    assert (
        "4 of 8 jobs failed:\n  2  optimizer=momentum schedule.initial_value=1e+30" in done.stderr
    )
    folders = [tmp_path / "all" / str(i) for i in range(8)]
    states = [result(folder)["status"] for folder in folders]
    assert states == ["done", "done", "failed", "failed"] * 2
    assert "at update 1, which applied" in result(folders[2])["reason"]
    assert all(result(folder)["together"] == 4 for folder in folders)
    for i, kind in ((1, "momentum"), (4, "adam")):
        own = (f"optimizer={kind}", "schedule.initial_value=0.05", f"run.seed={i % 2 + 1}")
        alone = tmp_path / f"alone-{i}"
        assert trained(alone, *common, *own) == 0
        assert_as_alone(folders[i], alone)
        left = {path.relative_to(alone) for path in alone.rglob("step-*")}
        assert {path.relative_to(folders[i]) for path in folders[i].rglob("step-*")} == left
    files = {path.name.partition(".out")[0] for path in folders[0].iterdir()}
    assert {"config.yaml", "schedule.svg", "chosen.json", "events"} <= files
    assert (tmp_path / "all" / "report.html").exists()


@pytest.mark.slow
def test_jobs_go_on_side_by_side_or_alone_and_one_that_no_other_is_like_is_trained_too(
    tmp_path: Path,
) -> None:
    asked = ("run.length=12", "model.dropout=0,0.2,0.4", "run.seed=3")
    first = sweep(tmp_path, *asked, "run.stop_after=5")
    assert (first.returncode, first.stderr) == (0, "")
    assert "jobs 1, 2: 2 side by side in one program" in first.stdout
    assert "job 0: by itself; no other has the same variables" in first.stdout
    folders = [tmp_path / "all" / str(i) for i in range(3)]
    alone = tmp_path / "alone"
    assert trained(alone, "run.length=12", "model.dropout=0.4", "run.seed=3") == 0
    assert trained(folders[2], "run.length=12", "model.dropout=0.4", "run.seed=3") == 0
    assert_as_alone(folders[2], alone)


def test_a_number_of_jobs_that_is_none_keeps_the_sweep_from_starting(tmp_path: Path) -> None:
    refused = sweep(tmp_path, "hydra.launcher.jobs=0", "run.seed=1,2")
    assert refused.returncode == 2
    assert refused.stderr.startswith("hydra.launcher.jobs = 0: must be a whole number above 0")
    assert not (tmp_path / "all").exists()


def test_jobs_of_which_no_one_program_can_be_made_are_trained_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: object) -> None:
        raise NotImplementedError("no way to stack it\nand more")

    monkeypatch.setattr("trainer.sweeps.vectorized.train_group._build_lanes", fails)
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    fleet = VectorizedLauncher(config, HydraContext(None, None), max_jobs=2)  # type: ignore[arg-type]
    asked: list[str] = []

    def entry(name: str) -> Any:
        folder = Folder(tmp_path / name)
        folder.path.mkdir()
        train = lambda: asked.append(name) or 0  # noqa: E731
        return SimpleNamespace(job=SimpleNamespace(folder=folder, train=train), name=name)

    monkeypatch.setattr("trainer.sweeps.vectorized.launcher.refresh", lambda *_, **__: None)
    fleet._interrupted = False
    fleet._train_group([entry("0"), entry("1")])
    assert asked == ["0", "1"]
    line = (
        "jobs 0, 1: each by itself; no program could be made for all: NotImplementedError: no way"
    )
    assert capsys.readouterr().out.startswith(line)


@pytest.mark.slow
def test_after_an_interrupt_every_job_has_saved_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    asked = ("run.length=3000", "run.seed=1,2")
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *SWEEP, *asked],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE,
    )  # fmt: skip
    metrics = tmp_path / "all" / "1" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    folders = [tmp_path / "all" / str(i) for i in range(2)]
    before = [result(folder) for folder in folders]
    assert [each["status"] for each in before] == ["interrupted"] * 2
    for folder, each in zip(folders, before, strict=True):
        assert (folder / "checkpoints" / f"step-{each['steps']:010d}").exists()
    again = sweep(tmp_path, *asked)
    assert again.returncode == 0
    assert all(
        f"{i}  going on at step {each['steps']}" in again.stdout for i, each in enumerate(before)
    )
    assert [result(folder)["status"] for folder in folders] == ["done"] * 2
    assert not any(events(folder, "departed") for folder in folders)
