"""Runs below a root, told from what only looks like one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.runs.run_folders import run_folders
from trainer.runs.trial import mark_as_trial

NAMES = ("config.yaml", "result.json", "schedule.svg")


def run(path: Path, rate: float, rows: int = 3) -> Path:
    """A folder as a run leaves it, told from others by what its first row measured."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("run:\n  seed: 1\n")
    lines = [{"step": t, "loss": 1.0, "updates_per_second": rate + t} for t in range(rows)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (path / "result.json").write_text(json.dumps({"status": "done", "steps": rows}))
    (path / ".lock").touch()
    return path


def artifacts(root: Path, one: Path) -> None:
    """What `log.mlflow={}` keeps in the folder of a sweep."""
    target = root / "mlartifacts" / "0f3c" / "artifacts"
    target.mkdir(parents=True)
    for name in NAMES:
        (target / name).write_bytes((one / name).read_bytes() if (one / name).exists() else b"")


def tracking_files(root: Path, one: Path) -> None:
    """What W&B keeps: a file of the same name as ours, with other content."""
    (root / "wandb" / "run-1" / "files").mkdir(parents=True)
    (root / "wandb" / "run-1" / "files" / "config.yaml").write_text("_wandb: {value: {}}\n")


def backup(root: Path, one: Path) -> None:
    """A copy of the whole folder, beside it."""
    shutil.copytree(one, root / f"{one.name}.orig")


def older_backup(root: Path, one: Path) -> None:
    """A copy that was made before the run had come to its end."""
    copy = root / "a" / one.name
    shutil.copytree(one, copy)
    rows = (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    (copy / "metrics.jsonl").write_text("".join(rows[:2]))
    (copy / "result.json").unlink()


def model_file(root: Path, one: Path) -> None:
    """What an export leaves, such as a folder with a config of its own."""
    (root / "exported").mkdir()
    (root / "exported" / "config.yaml").write_text("format: saved_model\n")


@pytest.mark.parametrize("kind", ["a sweep", "a search", "single runs"])
@pytest.mark.parametrize(
    "leave", [artifacts, tracking_files, backup, older_backup, model_file], ids=lambda f: f.__name__
)
def test_only_runs_are_runs(tmp_path: Path, leave: Callable[[Path, Path], None], kind: str) -> None:
    runs = [run(tmp_path / str(number), 100.5 + number) for number in (0, 2, 10)]
    if kind == "a sweep":
        (tmp_path / "sweep.json").write_text(json.dumps({f"hash{i}": i for i in ("0", "2", "10")}))
    if kind == "a search":
        (tmp_path / "study.journal").touch()
        for path in runs:
            mark_as_trial(path, int(path.name), "eval_loss", {})
    leave(tmp_path, runs[1])
    assert run_folders([tmp_path]) == runs


def test_a_rerun_is_another_run_though_its_bits_are_the_same(tmp_path: Path) -> None:
    runs = [run(tmp_path / "first", 100.5), run(tmp_path / "second", 100.25)]
    assert run_folders([tmp_path]) == runs


def test_a_job_that_failed_before_it_began_is_a_run_of_its_sweep(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps({"one": "0", "two": "1", "three": "2"}))
    for name in "01":
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps({"status": "failed"}))
    (tmp_path / "2").mkdir()  # waits for its turn
    assert run_folders([tmp_path]) == [tmp_path / "0", tmp_path / "1"]


def test_folders_with_sweeps_and_runs_in_them_give_all_of_them(tmp_path: Path) -> None:
    job, single = run(tmp_path / "rates" / "0", 1.5), run(tmp_path / "day" / "time", 2.5)
    (tmp_path / "rates" / "sweep.json").write_text(json.dumps({"hash": "0"}))
    assert run_folders([tmp_path, tmp_path / "rates"]) == [single, job]
