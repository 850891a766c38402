"""Sweeps as people type them: checked as a whole, failing one by one, gone on with, reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.runs import SMALL, result
from tests.helpers.sweeps import ENVIRONMENT, command, multirun, table
from trainer.sweeps.jobs import SweepJob, wait_for_owner


def test_a_job_that_can_not_be_honoured_keeps_the_whole_sweep_from_starting(
    tmp_path: Path,
) -> None:
    refused = multirun(tmp_path, "schedule.initial_value=0.1,.nan", "run.seed=1,2", "log.every=0,1")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "schedule.initial_value = '.nan': must be a number\n  in: the job" in refused.stderr
    assert "log.every = " in refused.stderr
    assert refused.stderr.count("must be a number") == 1, "told once, not once a seed"
    assert not (tmp_path / "all").exists()


def test_a_failing_job_fails_alone_and_all_failures_are_told_at_the_end(tmp_path: Path) -> None:
    asked = ("run.length=12", "schedule.initial_value=1e9,0.1", "device=cpu,gpu")
    done = multirun(tmp_path, *asked)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "3 of 4 jobs failed:\n  0  schedule.initial_value=1000000000.0" in done.stderr
    assert "the loss became nan" in done.stderr
    assert done.stderr.count("device = 'gpu': TensorFlow finds no GPU") == 2
    states = [(row["run"], row["status"]) for row in table(tmp_path / "all")]
    assert states == [("0", "failed"), ("1", "failed"), ("2", "done"), ("3", "failed")]
    page = (tmp_path / "all" / "report.html").read_text()
    assert page.count("finds no GPU") == 2


def test_the_same_command_runs_only_what_is_not_done_and_takes_more_jobs(tmp_path: Path) -> None:
    asked = ("run.length=8", "schedule.initial_value=logspace(0.01,1,2)")
    first = multirun(tmp_path, *asked, "run.seed=1")
    assert (first.returncode, first.stderr) == (0, "")
    before = (tmp_path / "all" / "0" / "result.json").stat().st_mtime_ns
    (tmp_path / "all" / "1" / "result.json").unlink()
    more = multirun(tmp_path, *asked, "run.seed=1,2")
    assert "4 jobs, 1 of them done already" in more.stdout
    assert (tmp_path / "all" / "0" / "result.json").stat().st_mtime_ns == before
    assert result(tmp_path / "all" / "1")["status"] == "done"
    rows = table(tmp_path / "all")
    assert [(row["schedule.initial_value"], row["run.seed"]) for row in rows] == [
        ("0.01", "1"), ("1", "1"), ("0.01", "2"), ("1", "2"),
    ]  # fmt: skip


def test_a_launcher_whose_package_is_missing_is_refused_with_what_to_install(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine" / "hydra" / "launcher").mkdir(parents=True)
    text = "_target_: hydra_plugins.absent_launcher.Absent\n"
    (tmp_path / "mine" / "hydra" / "launcher" / "absent_cluster.yaml").write_text(text)
    asked = ("hydra/launcher=absent_cluster", "hydra.searchpath=[file://mine]")
    refused = multirun(
        tmp_path, *asked, "allow_code=[hydra_plugins.absent_launcher]", "run.seed=1,2"
    )
    assert refused.returncode == 2
    assert refused.stderr == (
        "hydra/launcher = 'absent_cluster': needs a package that is not installed: "
        "absent_launcher\n  hint: pip install 'scheduled-training[absent]'\n"
    )


@pytest.mark.slow
def test_an_experiment_file_can_be_a_sweep_by_itself(tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "two.yaml").write_text(
        "# @package _global_\n"
        "run: {length: 4}\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      schedule: cosine,exponential\n      run.seed: [1, 2]\n"
    )
    asked = ["--config-dir", "mine", "experiment=two", "schedule=cosine", *SMALL]
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *asked, "hydra.sweep.dir=all"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["run.seed"] for row in table(tmp_path / "all")] == ["1", "2"]


@pytest.mark.slow
def test_after_an_interrupt_no_further_job_begins(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("run.length=1000000", "run.seed=1,2"), cwd=tmp_path, env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _wait_for(tmp_path / "all" / "0" / "metrics.jsonl", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert result(tmp_path / "all" / "0")["status"] == "interrupted"
    assert not (tmp_path / "all" / "1" / "metrics.jsonl").exists()
    assert [row["status"] for row in table(tmp_path / "all")] == ["interrupted"]


def test_a_killed_job_is_a_failed_job_and_nothing_more(tmp_path: Path) -> None:
    zipped = ("run.length=zip(6,1000000,7)", "run.seed=zip(1,2,3)")
    asked = command("hydra/launcher=local", *zipped, "device=cpu", "checkpoint.every=100%")
    process = subprocess.Popen(
        asked, cwd=tmp_path, env=ENVIRONMENT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    _wait_for(tmp_path / "all" / "1" / "metrics.jsonl", process)
    lock = (tmp_path / "all" / "1" / ".lock").read_text()
    os.kill(int(lock.split()[1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "1 of 3 jobs failed:\n  1  run.length=1000000 run.seed=2\n" in errors
    assert "\n    killed by SIGKILL" in errors
    assert [row["status"] for row in table(tmp_path / "all")] == ["done", "failed", "done"]
    cores = {result(tmp_path / "all" / n)["cores"] for n in "02"}
    assert max(cores) <= max(1, (os.cpu_count() or 1) // 2)


def _wait_for(path: Path, process: subprocess.Popen) -> None:  # type: ignore[type-arg]
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None
        time.sleep(0.05)


@contextmanager
def held(folder: Path, seconds: float) -> Iterator[None]:
    """Another process that writes to a folder."""
    folder.mkdir(parents=True)
    program = (
        "import sys, time; from pathlib import Path; from trainer.runs.folder import Folder\n"
        "with Folder(Path(sys.argv[1])).locked(): print(flush=True); time.sleep(float(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, folder, str(seconds)], env=ENVIRONMENT,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    process.stdout.readline()
    with process.stdout:
        yield
    process.kill()
    process.wait()


def test_a_job_that_outlived_a_killed_sweep_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = SweepJob(("run.seed=1",), "run.seed=1", tmp_path / "0")
    with held(job.path, seconds=1):
        began = time.monotonic()
        wait_for_owner(job)
        assert time.monotonic() - began > 0.4
    message = capsys.readouterr().out
    assert message.startswith("waiting for process")
    assert message.endswith("which still runs the job 0  run.seed=1\n")
    wait_for_owner(job)
    assert capsys.readouterr().out == ""


def test_a_folder_has_one_sweep_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path / "all", seconds=60):
        refused = multirun(tmp_path, "run.seed=1,2")
    assert refused.returncode == 2
    assert "hydra.sweep.dir = 'all': is being written to by process" in refused.stderr
    assert not (tmp_path / "all" / "0").exists()
