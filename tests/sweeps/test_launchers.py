"""Other people's launchers, each in a real sweep in which one job fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.helpers.sweeps import multirun, table

ONE_FAILS = ("run.length=zip(12,13,14)", "schedule.initial_value=zip(0.1,1e9,0.2)")
FAILED = "1 of 3 jobs failed:\n  1  run.length=13 schedule.initial_value=1000000000.0"

SBATCH = f"""#!{sys.executable}
# Begins the tasks of a job array at once, here.
import os, pathlib, re, subprocess, sys
script = pathlib.Path(sys.argv[-1]).read_text()
pathlib.Path("asked").write_text(script)
for task in range(int(re.search("--array=0-(.*)%", script)[1]) + 1):
    ids = {{"SLURM_JOB_ID": f"{{2000 + task}}", "SLURM_ARRAY_JOB_ID": "1234",
            "SLURM_ARRAY_TASK_ID": f"{{task}}"}}
    subprocess.Popen(["bash", "-c", script], env={{**os.environ, **ids}}, start_new_session=True,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("Submitted batch job 1234")
"""
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do
  case $1 in --output | --error) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""
SACCT = """#!/usr/bin/env bash
printf 'JobID|State|NodeList\\n1234_0|RUNNING|here\\n1234_1|RUNNING|here\\n1234_2|RUNNING|here\\n'
"""


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param("joblib", marks=pytest.mark.slow),
        pytest.param("ray", marks=pytest.mark.slow),
        pytest.param("submitit_local", marks=pytest.mark.slow),
    ],
)
def test_a_launcher_runs_a_sweep_with_a_failing_job(launcher: str, tmp_path: Path) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    done = multirun(tmp_path, f"hydra/launcher={launcher}", *ONE_FAILS)
    assert done.returncode == 1
    assert FAILED in done.stderr
    assert [row["status"] for row in table(tmp_path / "all")] == ["done", "failed", "done"]


@pytest.mark.slow
def test_slurm_is_asked_for_what_was_declared_and_its_tasks_run_the_jobs(tmp_path: Path) -> None:
    """The queue is pretended: what is asked of it and what its tasks do is all real."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    (tmp_path / "bin").mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    done = multirun(
        tmp_path, "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu",
        "hydra.launcher.gpus_per_node=1", "hydra.launcher.timeout_min=90", *ONE_FAILS,
        PATH=f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
    )  # fmt: skip
    asked = [line for line in (tmp_path / "asked").read_text().splitlines() if "#SBATCH" in line]
    assert set(asked) >= {
        "#SBATCH --array=0-2%3", "#SBATCH --partition=gpu", "#SBATCH --gpus-per-node=1",
        "#SBATCH --time=90", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=8GB",
    }  # fmt: skip
    assert done.returncode == 1
    assert FAILED in done.stderr
    assert [row["status"] for row in table(tmp_path / "all")] == ["done", "failed", "done"]
