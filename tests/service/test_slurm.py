"""The engine of SLURM: on a pretended cluster, and, slowly, on a real one of this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.pretended_slurm import install
from tests.helpers.queued import Queued, stand_ins
from tests.helpers.real_slurm import missing, real_slurm
from tests.helpers.served import Served, served
from trainer.service.jobs.engines import slurm
from trainer.service.jobs.engines.engine import Handle, Needs
from trainer.service.jobs.engines.slurm import SlurmEngine

NAME = "0123456789abcdef"


@pytest.fixture(params=["pretended"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def cluster(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    if kind == "real":
        if lack := missing():
            pytest.skip(lack)
        monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.5)
        monkeypatch.setattr(SlurmEngine, "poll_seconds", 0.5)
        with real_slurm(tmp_path / "cluster"):
            yield tmp_path / "cluster"
        return
    programs = install(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(SlurmEngine, "poll_seconds", 0.05)
    yield tmp_path / "cluster"


on_both = pytest.mark.parametrize(
    "kind", ["pretended", pytest.param("real", marks=pytest.mark.slow)], indirect=True
)
"""Runs a test on a real cluster, too."""


def calls(cluster: Path, name: str) -> list[str]:
    lines = (cluster / "calls").read_text().splitlines()
    return [line for line in lines if line.startswith(name)]


class Job:
    """A job that was started by an engine."""

    def __init__(self, folder: Path, script: str, cores: int = 1, gpus: int = 0) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.recorded: list[Handle] = []
        self.engine = SlurmEngine()
        needs = Needs(NAME, folder, tuple(range(cores)), tuple(map(str, range(gpus))))
        command = ["/bin/sh", "-c", script]
        self.handle = self.engine.start(command, folder, needs, self.recorded.append)

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while self.engine.look(self.handle) != "gone":
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def wait_for_output(self, text: str) -> None:
        deadline = time.monotonic() + 60
        log = self.folder / "output.log"
        while not log.exists() or text not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_job_has_the_run_for_its_name_and_is_recorded_before_it_may_start(
    tmp_path: Path, cluster: Path
) -> None:
    job = Job(tmp_path / "100% run", "echo out; echo err >&2; exit 3", cores=4, gpus=2)
    assert job.recorded == [job.handle]
    [asked] = calls(cluster, "sbatch")
    for option in ("--hold", "--dependency=singleton", f"--job-name={NAME}", "--cpus-per-task=4",
                   "--gpus=2", "--signal=B:USR1@120", "--requeue",
                   f"--output={tmp_path}/100%% run/output.log"):  # fmt: skip
        assert option in asked
    assert calls(cluster, "scontrol") == [f"scontrol release {job.handle['job']}"]
    job.wait()
    assert job.engine.exit_code(job.handle) == 3
    assert job.engine.exit_code({**job.handle, "job": "99"}) is None  # of an earlier attempt


@pytest.mark.slow
def test_one_that_can_not_be_recorded_never_starts(tmp_path: Path, cluster: Path) -> None:
    def full(_: Handle) -> None:
        raise OSError(28, "No space left on device")

    engine = SlurmEngine()
    with pytest.raises(OSError, match="No space"):
        engine.start(["true"], tmp_path, Needs(NAME, tmp_path), full)
    assert engine.look({"name": NAME}) == "gone"
    assert calls(cluster, "scontrol") == []


@pytest.mark.slow
def test_one_that_an_earlier_server_held_and_did_not_record_is_cancelled(
    tmp_path: Path, cluster: Path
) -> None:
    class ServerDied(BaseException):
        pass

    def die(_: Handle) -> None:
        raise ServerDied

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SlurmEngine, "_cancel", lambda *_: None)
        with pytest.raises(ServerDied):
            SlurmEngine().start(["true"], tmp_path, Needs(NAME, tmp_path), die)
    assert SlurmEngine().look({"name": NAME}) == "alive"
    Job(tmp_path, "true").wait()  # else it would wait for ever for the one before it


@on_both
@pytest.mark.parametrize(
    ("name", "code"), [("TERM", 7), pytest.param("USR1", 8, marks=pytest.mark.slow)]
)
def test_a_signal_reaches_what_trains_and_its_end_is_known(
    name: str, code: int, tmp_path: Path
) -> None:
    traps = "trap 'exit 7' TERM; trap 'exit 8' USR1; echo up"
    job = Job(tmp_path / "run", f"{traps}; while :; do sleep 0.02; done")
    job.wait_for_output("up")
    if name == "TERM":
        job.engine.stop(job.handle, "terminate")
    else:  # as SLURM does before the time is up
        slurm._run(["scancel", "--batch", "--signal=USR1", str(job.handle["job"])])
    job.wait()
    assert job.engine.exit_code(job.handle) == code


@pytest.mark.slow
@on_both
def test_one_that_waits_is_cancelled_and_one_that_runs_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(tmp_path / "run", "trap : TERM; echo up; while :; do sleep 0.02; done")
    job.wait_for_output("up")
    assert job.engine.waits(job.handle) == ""
    job.engine.stop(job.handle, "kill")
    job.wait()
    assert job.engine.exit_code(job.handle) is None
    run = slurm._run
    monkeypatch.setattr(
        slurm, "_run", lambda words, text="": "" if "release" in words else run(words, text)
    )
    waiting = Job(tmp_path / "other", "true")
    assert waiting.engine.look(waiting.handle) == "alive"
    assert waiting.engine.waits(waiting.handle).startswith("waits in SLURM's queue: ")
    waiting.engine.stop(waiting.handle, "terminate")
    waiting.wait()


def test_a_controller_that_is_down_tells_nothing_and_ends_nothing(
    tmp_path: Path, cluster: Path
) -> None:
    job = Job(tmp_path / "run", "true")
    (cluster / "down").touch()
    assert job.engine.look(job.handle) == "unknown"
    with pytest.raises(OSError, match="Unable to contact slurm controller"):
        Job(tmp_path / "run", "true")
    (cluster / "down").unlink()
    job.wait()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "runs").mkdir()
    with stand_ins(), served(tmp_path / "runs", tmp_path / "state") as found:
        yield found


@pytest.mark.slow
@on_both
def test_runs_of_a_queue_are_trained_by_slurm_and_adopted_by_the_next_server(
    kind: str, service: Served, tmp_path: Path, cluster: Path
) -> None:
    queue = Queued(service)
    [done] = queue.submit("3 0", engine="slurm", cores=2)
    assert queue.ended(done)["status"] == "done"
    if kind == "pretended":
        assert "--cpus-per-task=2" in calls(cluster, "sbatch")[0]
    [killed] = queue.submit("3 inf", engine="slurm")
    queue.kill(killed)  # on its node
    service.wait(lambda: len(queue.starts(killed)) == 2)
    queue.let_go(killed)
    assert queue.ended(killed)["steps"] == 3
    [stopped] = queue.submit("3 inf", engine="slurm")
    queue.until(stopped, "running")
    assert queue.stop(stopped, "terminate").status_code == 200
    assert queue.ended(stopped)["status"] == "interrupted"
    [left] = queue.submit("3 inf", engine="slurm")
    queue.until(left, "running")
    service.end()
    with served(tmp_path / "runs", tmp_path / "other") as second:
        adopted = Queued(second)
        second.ids()
        assert adopted.until(left, "running")
        adopted.let_go(left)
        assert adopted.ended(left)["status"] == "done"
        assert len(adopted.starts(left)) == 1
