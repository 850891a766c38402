"""The jobs of a sweep: where each runs, how they are launched, and how they ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from ..runs.atomic_files import write
from ..runs.folder import Folder

SUBDIR = "hydra.sweep.subdir="
"""How a launcher is told the folder of each job."""
LOOK_SECONDS = 0.5
"""How often it is seen whether a job that outlived its sweep has ended."""
ENDED = ("done", "stopped", "pruned")
"""How a run ends that did what was asked of it."""


class JobError(RuntimeError):
    """Why one job failed, in words that survive the way between processes."""


class SweepError(RuntimeError):
    """Jobs of a sweep failed, and the others went on; the message lists them."""


@dataclass(frozen=True)
class SweepJob:
    """One combination of a sweep's values, and the folder of its run."""

    overrides: tuple[str, ...]
    told: str
    """The overrides in which it differs from the others."""
    path: Path

    @property
    def status(self) -> str | None:
        """How its run ended, or None where nothing tells."""
        ended = Folder(self.path).ended()
        return ended["status"] if ended else None

    def __str__(self) -> str:
        return f"{self.path.name}  {self.told}".rstrip()


def launched(jobs: Sequence[SweepJob], launcher: Launcher, first: int = 0) -> Sequence[JobReturn]:
    """Runs jobs, numbered from `first` on; each leaves a word on how it ended.

    Raises:
        KeyboardInterrupt: when interrupted.
    """
    for job in jobs:
        outlived(job)
    began = {job: _changed(job) for job in jobs}
    returned: Sequence[JobReturn] = []
    gave_up: Exception | None = None
    try:
        asked = [[*job.overrides, SUBDIR + job.path.name] for job in jobs]
        returned = launcher.launch(asked, initial_job_idx=first)
    except Exception as error:  # whatever its launcher raises, a sweep tells of every job
        gave_up = error
    finally:
        for job, back in zip(jobs, [*returned, *[None] * len(jobs)], strict=False):
            if _changed(job) == began[job]:
                _note(job, back, gave_up)
    return returned


def outlived(job: SweepJob) -> None:
    """Waits for a process that still runs the job, of a sweep that was killed."""
    if owner := Folder(job.path).owner():
        print(f"waiting for {owner}, which still runs the job {job}", flush=True)
        while Folder(job.path).owner():
            time.sleep(LOOK_SECONDS)


def _changed(job: SweepJob) -> int | None:
    """When the job's result was written, to tell whether it was written again."""
    with suppress(FileNotFoundError):
        return Folder(job.path).result.stat().st_mtime_ns
    return None


def _note(job: SweepJob, back: JobReturn | None, gave_up: Exception | None) -> None:
    """Writes down why a job left no word on how it ended."""
    if back is not None and back.status == JobStatus.COMPLETED:
        return
    error = back._return_value if back is not None else gave_up
    if error is None:  # the sweep was stopped before this job's turn
        return
    spoken = isinstance(error, JobError)
    note_failure(job, str(error) if spoken else f"{type(error).__name__}: {error}")


def note_failure(job: SweepJob, reason: str) -> None:
    """Writes the result of a job that failed before it could itself."""
    result = {"status": "failed", "reason": reason, "steps": 0, "metrics": {}}
    write(Folder(job.path).result, json.dumps(result, indent=1) + "\n")


def listed(failed: Sequence[SweepJob], total: int) -> str:
    """All jobs that failed, each with its reason."""

    def reasons() -> Iterator[str]:
        for job in failed:
            ended = Folder(job.path).ended() or {}
            yield f"  {job}\n    " + str(
                ended.get("reason", ended.get("status", "it left no word"))
            ).replace("\n", "\n    ")

    return "\n".join([f"{len(failed)} of {total} jobs failed:", *reasons()])
