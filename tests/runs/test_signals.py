"""Signals, as a shell and a scheduler send them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.runs import SMALL, result
from trainer.runs.signals import Interruption, Stop, in_a_program, process_stop, requeue_job

PROMPT = 2.0
"""How soon a job on the default settings must be gone."""
LONG = (*SMALL, "run.length=10000000", "log.every=1000")


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def started() -> Iterator[Start]:
    """Starts a run in a folder; whatever becomes of the test, none outlives it."""
    processes = []

    def start(path: Path, *asked: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "trainer", *asked, f"hydra.run.dir={path}"]
        env = {**os.environ, **environment}
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not (path.exists() and (path.is_dir() or path.stat().st_size)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def gone(process: subprocess.Popen[str]) -> tuple[float, str]:
    """How many seconds a process still takes, and what it said."""
    began = time.perf_counter()
    message, _ = process.communicate(timeout=60)
    return time.perf_counter() - began, message


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_default_job_is_gone_in_two_seconds_with_a_checkpoint(
    number: signal.Signals, code: int, started: Start, tmp_path: Path
) -> None:
    process = started(tmp_path / "run", "run.length=1000 epochs")
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    process.send_signal(number)
    seconds, message = gone(process)
    assert process.returncode == code
    assert f"stopped by {number.name}; the same command goes on" in message
    assert seconds < PROMPT
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert int(checkpoint.name[5:]) == result(tmp_path / "run")["steps"] > 0


def test_before_the_first_update_it_leaves_at_once(started: Start, tmp_path: Path) -> None:
    process = started(tmp_path / "run", *LONG)
    wait_for(tmp_path / "run" / "tensorflow.log", process)
    process.send_signal(signal.SIGTERM)
    seconds, message = gone(process)
    assert (process.returncode, seconds < PROMPT) == (143, True)
    assert "left at once, as SIGTERM asked" in message
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_second_signal_does_not_wait_for_the_call(started: Start, tmp_path: Path) -> None:
    alone = ("evaluate.every=100%", "checkpoint.every=100%", "run.steps_per_call=200000")
    process = started(tmp_path / "run", *LONG, *alone)
    wait_for(tmp_path / "run" / "commands", process)
    time.sleep(3)  # well into the first call, which takes a quarter of a minute
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    seconds, message = gone(process)
    assert (process.returncode, seconds < PROMPT) == (130, True)
    assert "left at once, as SIGINT asked" in message


def scontrol(path: Path, code: int = 0) -> str:
    """A PATH with an scontrol that writes down what it was asked."""
    path.mkdir()
    (path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {path}/asked\nexit {code}\n')
    (path / "scontrol").chmod(0o755)
    return f"{path}:{os.environ['PATH']}"


def test_sigusr1_saves_and_queues_the_slurm_job_again(started: Start, tmp_path: Path) -> None:
    slurm = {"PATH": scontrol(tmp_path / "bin"), "SLURM_JOB_ID": "77"}
    process = started(tmp_path / "run", *LONG, **slurm)
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    process.send_signal(signal.SIGUSR1)
    _, message = gone(process)
    assert process.returncode == 128 + signal.SIGUSR1
    assert "job 77 is queued again" in message
    assert (tmp_path / "bin" / "asked").read_text() == "requeue 77\n"
    assert any((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("job", "code", "message"),
    [
        ("77", 0, "job 77 is queued again"),
        ("77", 1, "scontrol could not queue job 77 again"),
        ("", 0, "no SLURM job to queue again"),
    ],
)
def test_what_comes_of_queueing_again_is_told(
    job: str, code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", scontrol(tmp_path / "bin", code))
    monkeypatch.setenv("SLURM_JOB_ID", job)
    assert requeue_job() == message


def test_without_scontrol_there_is_nothing_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert requeue_job() == "no SLURM job to queue again"


def test_a_stop_made_for_a_program_never_ends_its_process() -> None:
    assert type(process_stop()) is Stop
    with in_a_program():
        assert type(process_stop()) is Interruption
    assert type(process_stop()) is Stop
