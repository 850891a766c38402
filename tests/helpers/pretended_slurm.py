"""`sbatch`, `squeue`, `scancel` and `scontrol` of a cluster of one machine: what an engine calls.

A folder for each job holds its name, its state and its process. Every call is written to `calls`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

NAMES = ("sbatch", "squeue", "scancel", "scontrol")


def install(folder: Path) -> Path:
    """Makes the commands, in a folder for `PATH`."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in NAMES:
        file = programs / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {folder} {name} "$@"\n')
        file.chmod(0o755)
    return programs


def _jobs(folder: Path) -> dict[str, dict[str, object]]:
    found = {file.parent.name: json.loads(file.read_text()) for file in folder.glob("jobs/*/job")}
    for job, facts in found.items():
        ended = folder / "jobs" / job / "ended"
        if facts["state"] == "RUNNING" and ended.exists():
            facts["state"] = "COMPLETED"
    return found


def _keep(folder: Path, job: str, facts: dict[str, object]) -> None:
    path = folder / "jobs" / job
    path.mkdir(parents=True, exist_ok=True)
    (path / ".job").write_text(json.dumps(facts))
    (path / ".job").rename(path / "job")


def _options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    options, rest = {}, []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--name":
            options["name"] = waiting.pop(0)
        elif word.startswith("--"):
            name, _, value = word[2:].partition("=")
            options[name] = value
        else:
            rest.append(word)
    return options, rest


def main(folder: Path, name: str, words: list[str]) -> None:
    with (folder / "calls").open("a") as calls:
        calls.write(f"{name} {' '.join(words)}\n")
    if (folder / "down").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
    options, rest = _options(words)
    jobs = _jobs(folder)
    if name == "sbatch":
        job = str(len(jobs) + 1)
        facts = {"state": "PENDING", "script": sys.stdin.read(), "name": options["job-name"],
                 "output": options["output"], "error": options["error"],
                 "chdir": options["chdir"]}  # fmt: skip
        _keep(folder, job, facts)
        print(f"{job};cluster")
    elif name == "squeue":
        for facts in jobs.values():
            if facts["state"] in ("PENDING", "RUNNING"):
                reason = "Resources" if facts["state"] == "PENDING" else "None"
                print(facts["name"], facts["state"], reason)
    elif name == "scontrol":
        assert rest[0] == "release"
        _begin(folder, rest[1], jobs[rest[1]])
    else:
        for job, facts in jobs.items():
            is_meant = job in rest or facts["name"] == options.get("name")
            if is_meant and facts["state"] == options.get("state", facts["state"]):
                _signal(folder, job, facts, options.get("signal", ""))


def _begin(folder: Path, job: str, facts: dict[str, object]) -> None:
    """Runs the script, in a session of its own, and leaves a mark at its end."""
    path = folder / "jobs" / job
    (path / "script").write_text(str(facts["script"]))
    run = 'sh "$1"; touch "$2"'
    logs = [Path(str(facts[name]).replace("%%", "%")) for name in ("output", "error")]
    with logs[0].open("ab") as out, logs[1].open("ab") as err:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"trap : TERM USR1; {run}", "job", str(path / "script"),
             str(path / "ended")],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            cwd=str(facts["chdir"]), env={**os.environ, "SLURM_JOB_ID": job},
        )  # fmt: skip
    _keep(folder, job, {**facts, "state": "RUNNING", "process": process.pid})


def _signal(folder: Path, job: str, facts: dict[str, object], name: str) -> None:
    if facts["state"] == "PENDING":
        _keep(folder, job, {**facts, "state": "CANCELLED"})
    elif facts["state"] == "RUNNING" and name:
        script = str(folder / "jobs" / job / "script")
        children = subprocess.run(
            ["pgrep", "-g", str(facts["process"]), "-f", f"^sh {script}"],
            capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        for child in children:
            os.kill(int(child), signal.Signals[f"SIG{name}"])
    elif facts["state"] == "RUNNING":
        os.killpg(int(str(facts["process"])), signal.SIGKILL)
        _keep(folder, job, {**facts, "state": "CANCELLED"})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
