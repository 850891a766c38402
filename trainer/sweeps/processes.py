"""Jobs as processes of this machine: where one runs, what it prints, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from .jobs import JobError

OUTPUT = "output.log"
"""The file in a job's folder that takes what it prints."""
ERRORS = "errors.log"
"""The one that takes its standard error; why it failed, should it leave no other word."""


@dataclass(frozen=True)
class Place:
    """Where one job at a time runs: processor cores of its own, and a GPU where there are any."""

    cores: tuple[int, ...]
    gpu: str | None = None

    def start(self, command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        """Starts a process that sees nothing else of the machine, and writes into `folder`."""
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        # TensorFlow asks for the cores it may use; where the system can't tell, here is its share.
        share = str(len(self.cores))
        threads = {"TF_NUM_INTRAOP_THREADS": share, "OMP_NUM_THREADS": share}
        gpu = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        with (folder / OUTPUT).open("ab") as output, (folder / ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": paths, **threads, **gpu},
                start_new_session=True,  # Ctrl-C comes through us, once
            )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, self.cores)
        return process

    def __str__(self) -> str:
        cores = f"core{'s' * (len(self.cores) > 1)} {', '.join(map(str, self.cores))}"
        return cores if self.gpu is None else f"GPU {self.gpu}, {cores}"


@dataclass
class Task:
    """One job: its command, and its process from when it has begun."""

    name: str
    told: str
    folder: Path
    command: list[str]
    place: Place = Place(())
    process: subprocess.Popen[bytes] | None = None
    back: JobReturn = field(default_factory=JobReturn)

    @property
    def state(self) -> str:
        if self.process is None:
            return "waiting"
        ends = {JobStatus.COMPLETED: "ended", JobStatus.FAILED: "failed"}
        return ends.get(self.back.status, "running")

    def start(self, place: Place) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.place, self.process = place, place.start(self.command, self.folder)

    def pass_on(self, number: int) -> None:
        """Sends a signal to its process."""
        if self.process:
            self.process.send_signal(number)

    def look(self) -> bool:
        """Whether it has ended by now."""
        code = self.process.poll() if self.process else None
        if code is None:
            return False
        self.back.return_value = None if code == 0 else JobError(self._reason(code))
        self.back.status = JobStatus.FAILED if code else JobStatus.COMPLETED
        return True

    @property
    def said(self) -> str:
        """What it said last, or why it failed, in a line."""
        stopped = self.process is not None and (self.process.returncode or 0) > 128
        if self.back.status == JobStatus.FAILED and not stopped:  # which says so itself
            return f"failed: {self.back._return_value}".splitlines()[0]
        return self.last_words()

    def last_words(self, count: int = 1, file: str = OUTPUT) -> str:
        """The last lines that it printed."""
        path = self.folder / file
        if not path.exists():
            return ""
        ending = path.read_bytes()[-4000:].decode(errors="replace")
        lines = ending.splitlines()
        return "\n".join(lines[-count:])

    def _reason(self, code: int) -> str:
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return self.last_words(8, ERRORS) or f"ended with exit code {code}"
