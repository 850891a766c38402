"""The jobs of a sweep: their folders, their launch, and how they ended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from schedules.declaration import Refused

from ..runs.folder import Folder

SUBDIR = "hydra.sweep.subdir"
"""The setting that names a job's folder to the launcher."""
POLL_SECONDS = 0.5
"""The time between two looks at a job that another process still runs."""
SUCCESSFUL = ("done", "stopped", "pruned")
"""The statuses of a run that did what it was asked to do."""


class JobError(RuntimeError):
    """Why one job failed, as a text that can be sent between processes."""


class SweepError(RuntimeError):
    """Jobs of a sweep failed, and the others went on; the message lists them."""


@dataclass(frozen=True)
class SweepJob:
    """One combination of a sweep's values, and the folder of its run."""

    overrides: tuple[str, ...]
    label: str
    """The overrides in which it differs from the other jobs."""
    path: Path
    name: str = ""
    """The folder's path within that of the sweep, or "" for its name."""

    @property
    def status(self) -> str | None:
        """How its run ended, or None without a result that can be read."""
        result = self.result()
        return str(result["status"]) if result else None

    def result(self) -> dict[str, Any] | None:
        """What its run left in `result.json`; None where there is none, or it can't be read."""
        with suppress(Refused):
            return Folder(self.path).read_result()
        return None

    @property
    def failure(self) -> str:
        """Why its run failed, or how else it ended."""
        try:
            result = Folder(self.path).read_result() or {}
        except Refused as refused:
            return str(refused)
        return str(result.get("reason", result.get("status", "it wrote no result")))

    def __str__(self) -> str:
        return f"{self.name or self.path.name}  {self.label}".rstrip()


def launch_jobs(
    jobs: Sequence[SweepJob], launcher: Launcher, first: int = 0
) -> Sequence[JobReturn]:
    """Runs jobs, numbered from `first` on; each that was run has a result afterwards.

    Raises:
        KeyboardInterrupt: when interrupted.
    """
    for job in jobs:
        wait_for_owner(job)
    result_times = {job: _result_time(job) for job in jobs}
    job_returns: Sequence[JobReturn] = []
    launcher_error: Exception | None = None
    try:
        overrides = [
            [*job.overrides, f"{SUBDIR}={quoted(job.name or job.path.name)}"] for job in jobs
        ]
        job_returns = launcher.launch(overrides, initial_job_idx=first)
    except Exception as error:  # a launcher may raise anything, and every job is still reported
        launcher_error = error
    finally:
        for job, job_return in zip(jobs, chain(job_returns, repeat(None)), strict=False):
            if _result_time(job) == result_times[job]:
                _record_failure(job, job_return, launcher_error)
    return job_returns


def quoted(text: str) -> str:
    """A text as one word of Hydra's grammar of overrides.

    >>> quoted("0"), quoted("seed=1,2")
    ('0', "'seed=1,2'")
    """
    return text if text.isalnum() else QuotedString(text, Quote.single).with_quotes()


def wait_for_owner(job: SweepJob) -> None:
    """Waits for a process that a killed sweep has left behind and that still runs the job."""
    if owner := Folder(job.path).owner():
        print(f"waiting for {owner}, which still runs the job {job}", flush=True)
        while Folder(job.path).owner():
            time.sleep(POLL_SECONDS)


def _result_time(job: SweepJob) -> int | None:
    """When the job's result was written last, or None without a result."""
    with suppress(OSError):
        return Folder(job.path).result.lstat().st_mtime_ns
    return None


def _record_failure(
    job: SweepJob, job_return: JobReturn | None, launcher_error: Exception | None
) -> None:
    """Writes why a job failed that wrote no result of its own."""
    if job_return is not None and job_return.status == JobStatus.COMPLETED:
        return
    error = job_return._return_value if job_return is not None else launcher_error
    if error is None:  # the sweep was stopped before this job's turn
        return
    is_readable = isinstance(error, JobError)
    write_failure(job, str(error) if is_readable else f"{type(error).__name__}: {error}")


def write_failure(job: SweepJob, reason: str) -> None:
    """Writes the result of a job that failed before it could write one."""
    with suppress(OSError):  # the report says what can't be read there
        Folder(job.path).write_result(
            {"status": "failed", "reason": reason, "steps": 0, "metrics": {}}
        )


def failure_summary(failed: Sequence[SweepJob], total: int) -> str:
    """A text that lists the failed jobs of a sweep, each with its reason."""

    def lines() -> Iterator[str]:
        yield f"{len(failed)} of {total} jobs failed:"
        for job in failed:
            reason = job.failure
            yield f"  {job}"
            yield "    " + reason.replace("\n", "\n    ")

    return "\n".join(lines())
