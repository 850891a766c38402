"""Jobs of SLURM, by its own commands: `sbatch`, `squeue`, `scancel` and `scontrol`.

What to ask for besides cores and GPUs, a partition, an account or a time limit, the variables of
`sbatch` say, as the server has them: `SBATCH_PARTITION`, `SBATCH_ACCOUNT`, `SBATCH_TIMELIMIT`.
"""

from __future__ import annotations

import errno
import os
import pwd
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from schedules.declaration.plain_files import read_plain

from ....sweeps.places import ERRORS, OUTPUT
from .engine import Engine, Handle, Needs, Word

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol")
COMMAND_SECONDS = 30.0
LOOK_SECONDS = 4.0
"""For how long one list of all jobs is good for all runs."""
EXIT_FILE = ".slurm-exit"
"""The file in a run's folder to which a job writes its number and how it has ended."""
SCRIPT = """\
#!/bin/sh
rm -f {exit_file}
{command} &
child=$!
trap 'kill -TERM $child' TERM
trap 'kill -USR1 $child' USR1
wait $child; code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
echo "$SLURM_JOB_ID $code" > {exit_file}
exit $code
"""
"""SLURM signals the shell, which passes it on: what trains saves, and asks to be queued again."""
SAVING_SECONDS = 120
"""How long before its time is up a job is told to save."""


class SlurmEngine(Engine):
    """Each job has the run's id for its name, and SLURM starts no two of a name at a time.

    Numbers of jobs are used again, so a job is looked for by its name. It is held until its folder
    has its number: one that nobody has recorded never starts.
    """

    def __init__(self) -> None:
        self._user = pwd.getpwuid(os.getuid()).pw_name
        self._waits: dict[str, str] | None = {}
        """By the names of all jobs that have not ended, why they wait."""
        self._looked = -LOOK_SECONDS

    @staticmethod
    def is_there() -> bool:
        """Whether this machine has the commands."""
        return all(map(shutil.which, COMMANDS))

    def start(
        self, command: Sequence[str], folder: Path, needs: Needs, record: Callable[[Handle], None]
    ) -> Handle:
        self._cancel("--name", needs.name)  # which a server that died has held and not recorded
        answer = _run(self._submission(folder, needs), _script(command, folder))
        job = answer.strip().partition(";")[0]
        handle: Handle = {"job": job, "name": needs.name, "folder": str(folder)}
        try:
            record(handle)
            _run(["scontrol", "release", job])
        except BaseException:
            self._cancel(job)
            raise
        self._looked = -LOOK_SECONDS
        return handle

    def look(self, handle: Handle) -> Word:
        jobs = self._all_jobs()
        if jobs is None:
            return "unknown"
        return "alive" if handle.get("name") in jobs else "gone"

    def waits(self, handle: Handle) -> str:
        return (self._all_jobs() or {}).get(str(handle.get("name")), "")

    def stop(self, handle: Handle, how: Literal["terminate", "kill"]) -> None:
        job = str(handle.get("job"))
        if how == "terminate":
            with suppress(OSError):  # to one that waits nothing can be sent: it is cancelled
                _run(["scancel", "--batch", "--signal=TERM", "--state=RUNNING", job])
                self._cancel("--state=PENDING", job)
        else:
            self._cancel(job)
        self._looked = -LOOK_SECONDS

    def exit_code(self, handle: Handle) -> int | None:
        with suppress(OSError, ValueError):
            file = Path(str(handle.get("folder"))) / EXIT_FILE
            job, code = read_plain(file, 100, follow_links=False).decode("ascii").split()
            if job == handle.get("job"):
                return int(code) if int(code) <= 128 else 128 - int(code)
        return None

    def _submission(self, folder: Path, needs: Needs) -> list[str]:
        def log(name: str) -> str:
            return str(folder / name).replace("%", "%%")  # SLURM's own marks in names of files

        return [
            "sbatch", "--parsable", "--hold", "--requeue", f"--job-name={needs.name}",
            "--dependency=singleton", f"--cpus-per-task={max(1, len(needs.cores))}",
            *([f"--gpus={len(needs.gpus)}"] if needs.gpus else []),
            f"--chdir={needs.cwd}", f"--output={log(OUTPUT)}", f"--error={log(ERRORS)}",
            "--open-mode=append", f"--signal=B:USR1@{SAVING_SECONDS}",
        ]  # fmt: skip

    def _cancel(self, *words: str) -> None:
        with suppress(OSError):
            _run(["scancel", f"--user={self._user}", *words])

    def _all_jobs(self) -> dict[str, str] | None:
        """Why jobs of the user wait, by the names of all that have not ended.

        None where SLURM says nothing.
        """
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            try:
                answer = _run(["squeue", "--noheader", "--format=%j %T %r", f"--user={self._user}"])
            except OSError:
                self._waits = None
            else:
                lines = [line.split(maxsplit=2) for line in answer.splitlines() if line.strip()]
                self._waits = {name: _waits_for(*more) for name, *more in lines}
        return self._waits


def _waits_for(state: str = "", reason: str = "") -> str:
    """Why a job in a state of SLURM's waits; "" where it does not."""
    return f"waits in SLURM's queue: {reason}" if state == "PENDING" else ""


def _script(command: Sequence[str], folder: Path) -> str:
    root = Path(__file__).resolve().parents[4]
    paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    run = f"PYTHONPATH={shlex.quote(paths)} {shlex.join(command)} </dev/null"
    return SCRIPT.format(command=run, exit_file=shlex.quote(str(folder / EXIT_FILE)))


def _run(command: Sequence[str], text: str = "") -> str:
    """What one of SLURM's commands prints.

    Raises:
        OSError: when it fails, or answers too late; with what it says.
    """
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise OSError(errno.ETIMEDOUT, f"{command[0]} does not answer") from None
    if done.returncode:
        reason = done.stderr.strip() or f"exit code {done.returncode}"
        raise OSError(errno.EIO, f"{command[0]}: {reason}")
    return done.stdout
