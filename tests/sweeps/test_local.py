"""Jobs side by side on one machine: what each gets of it, and the table of them all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus
from rich.console import Console

from schedules.declaration import Refused
from trainer.sweeps.local import Machine, job_table
from trainer.sweeps.places import Place
from trainer.sweeps.processes import Task


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.sweeps.local.usable_cores", lambda: [0, 1, 2, 3])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("four_cores")
def test_every_job_has_cores_of_its_own_and_its_gpu_where_there_are_any() -> None:
    assert Machine.divided(2, 0).places == [Place((0, 2)), Place((1, 3))]
    assert Machine.divided("auto", 0).places == Machine.divided(2, 0).places
    assert Machine.divided(8, 0).places[5] == Place((1,)), "there are more jobs than cores"
    assert Machine.divided("auto", [2, 5, 7]).places == [
        Place((0, 3), "2"), Place((1,), "5"), Place((2,), "7"),
    ]  # fmt: skip
    assert [place.gpu for place in Machine.divided(4, 2).places] == ["0", "1", "0", "1"]


@pytest.mark.usefixtures("four_cores")
def test_gpus_are_those_that_the_system_shows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: B (UUID: y)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert [place.gpu for place in Machine.divided("auto", "auto").places] == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert [place.gpu for place in Machine.divided("auto", "auto").places] == ["3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert {place.gpu for place in Machine.divided("auto", "auto").places} == {None}


@pytest.mark.parametrize("jobs", [0, True, "many"])
def test_what_is_no_count_of_jobs_is_refused(jobs: object) -> None:
    with pytest.raises(Refused, match=r"hydra\.launcher\.jobs"):
        Machine.divided(jobs, 0)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives no cores away")
def test_a_job_sees_its_gpu_and_as_many_threads_as_it_has_cores(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    names = "CUDA_VISIBLE_DEVICES TF_NUM_INTRAOP_THREADS OMP_NUM_THREADS"
    asked = ["sh", "-c", f"for n in {names}; do eval echo \\$$n; done; nproc"]
    assert Place((core,), "5").start(asked, tmp_path).wait() == 0
    assert (tmp_path / "output.log").read_text().split() == ["5", "1", "1", "1"]


def task(number: int, state: str) -> Task:
    status = {"ended": JobStatus.COMPLETED, "failed": JobStatus.FAILED}
    one = Task(str(number), f"run.seed={number}", Path("/nowhere"), [])
    one.process = None if state == "waiting" else SimpleNamespace(returncode=None)  # type: ignore[assignment]
    one.job_return = JobReturn(status=status.get(state, JobStatus.UNKNOWN))
    return one


@pytest.mark.parametrize("room", [4, 12])
def test_where_not_all_jobs_fit_those_that_run_or_failed_are_shown(room: int) -> None:
    states = ["ended"] * 5 + ["failed", "running", "running"] + ["waiting"] * 4
    console = Console(file=io.StringIO(), width=100)
    console.print(job_table([task(i, state) for i, state in enumerate(states)], room))
    lines = console.file.getvalue().splitlines()[1:]  # type: ignore[attr-defined]
    assert len(lines) == room
    numbers = [line.split()[0] for line in lines]
    if room == 12:
        assert numbers == [str(number) for number in range(12)]
    else:
        assert numbers == ["5", "6", "7", "…"]
        assert lines[-1].split("and ")[1].strip() == "4 waiting, 5 ended"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("echo step 9; echo done at step 10", "done at step 10"),
        ("echo a curve; echo no GPU >&2; echo hint >&2; exit 1", "failed: no GPU"),
        ("echo stopped by SIGINT; exit 130", "stopped by SIGINT"),
        ("kill -9 $$", "failed: killed by SIGKILL"),
    ],
)
def test_how_a_job_ended_is_told_in_a_line(program: str, message: str, tmp_path: Path) -> None:
    one = Task("0", "", tmp_path, ["sh", "-c", program])
    one.start(Machine.divided(1, 0).places[0])
    assert one.process
    one.process.wait()
    assert one.poll()
    assert one.status_line == message
