"""Jobs as processes of this machine: what each prints, and how it ended."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from .jobs import JobError
from .places import ERRORS, NOWHERE, Place, last_lines


@dataclass
class Task:
    """One job: its command, and its process once it has started."""

    name: str
    label: str
    """The overrides in which it differs from the other jobs."""
    folder: Path
    command: list[str]
    place: Place = NOWHERE
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
        return last_lines(self.folder)

    def _failure_reason(self, code: int) -> str:
        """Why the process ended with an exit code other than 0."""
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return last_lines(self.folder, ERRORS, 8) or f"ended with exit code {code}"
