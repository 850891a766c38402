"""Jobs as processes of this machine: where each runs, what it prints, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from hydra.core.utils import JobReturn, JobStatus

from schedules.declaration.plain_files import open_descriptor, open_plain

from .jobs import JobError

OUTPUT = "output.log"
"""The file in a job's folder that takes its standard output."""
ERRORS = "errors.log"
"""The file in a job's folder that takes its standard error."""


@dataclass(frozen=True)
class Place:
    """The processor cores, and the GPU if there are any, that one job at a time runs on."""

    cores: tuple[int, ...]
    gpu: str | None = None

    def start(self, command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        """Starts a process that sees only this part of the machine, and logs into `folder`."""
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        # TensorFlow counts the cores that it may use; on a system without affinity it can't.
        thread_count = str(len(self.cores))
        threads = {"TF_NUM_INTRAOP_THREADS": thread_count, "OMP_NUM_THREADS": thread_count}
        gpu = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        output_file, errors_file = (_log(folder / name) for name in (OUTPUT, ERRORS))
        with output_file as output, errors_file as errors:
            errors.truncate(0)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": paths, **threads, **gpu},
                start_new_session=True,  # the launcher passes Ctrl-C on, once
            )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, self.cores)
        return process

    def __str__(self) -> str:
        word = "cores" if len(self.cores) > 1 else "core"
        cores = f"{word} {', '.join(map(str, self.cores))}"
        return cores if self.gpu is None else f"GPU {self.gpu}, {cores}"


@dataclass
class Task:
    """One job: its command, and its process once it has started."""

    name: str
    label: str
    """The overrides in which it differs from the other jobs."""
    folder: Path
    command: list[str]
    place: Place = Place(())
    process: subprocess.Popen[bytes] | None = None
    job_return: JobReturn = field(default_factory=JobReturn)

    @property
    def state(self) -> str:
        """One of `waiting`, `running`, `ended` and `failed`."""
        if self.process is None:
            return "waiting"
        end_states = {JobStatus.COMPLETED: "ended", JobStatus.FAILED: "failed"}
        return end_states.get(self.job_return.status, "running")

    def start(self, place: Place) -> None:
        """Starts the process on a place."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.place, self.process = place, place.start(self.command, self.folder)

    def send_signal(self, number: int) -> None:
        """Sends a signal to the process."""
        if self.process:
            self.process.send_signal(number)

    def poll(self) -> bool:
        """Returns whether the process has ended by now, and notes how."""
        code = self.process.poll() if self.process else None
        if code is None:
            return False
        self.job_return.return_value = None if code == 0 else JobError(self._failure_reason(code))
        self.job_return.status = JobStatus.FAILED if code else JobStatus.COMPLETED
        return True

    @property
    def status_line(self) -> str:
        """The last line that it printed, or why it failed."""
        # A run that a signal stopped exits with 128 and more, and has printed so itself.
        stopped = self.process is not None and (self.process.returncode or 0) > 128
        if self.job_return.status == JobStatus.FAILED and not stopped:
            return f"failed: {self.job_return._return_value}".splitlines()[0]
        return self.last_lines()

    def last_lines(self, count: int = 1, file: str = OUTPUT) -> str:
        """The last lines of one of its log files."""
        with suppress(OSError), open_plain(self.folder / file, follow_links=False) as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
            end = log.read(4000).decode(errors="replace")
            return "\n".join(end.splitlines()[-count:])
        return ""

    def _failure_reason(self, code: int) -> str:
        """Why the process ended with an exit code other than 0."""
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return self.last_lines(8, ERRORS) or f"ended with exit code {code}"


def _log(path: Path) -> BinaryIO:
    """A log file to which a job adds, made where it is not there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    return os.fdopen(open_descriptor(path, flags), "ab")
