"""A sweep: every job is checked before the first one starts, then launched and reported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from schedules.declaration import Problem, Refused, refuse

from ..commands.dry_run import agreed_plan, folder_state
from ..runs.atomic_files import write
from ..runs.folder import Folder
from ..runs.report import refresh
from ..runs.run_folders import INDEX, read_index
from ..runs.study import JOURNAL
from .composed import ComposedJob, Composer, collecting
from .jobs import SUCCESSFUL, SweepError, SweepJob, failure_summary, launch_jobs
from .objects import NO_OBJECTS, Objects


class Multirun:
    """The jobs of one sweep folder; the same command goes on with them."""

    def __init__(
        self, config: DictConfig, loader: ConfigLoader, objects: Objects = NO_OBJECTS
    ) -> None:
        self._config, self._loader, self._objects = config, loader, objects
        self.path = Path(str(config.hydra.sweep.dir))
        self.jobs: Sequence[SweepJob] = ()
        """The jobs of `run`, once they are known."""

    def run(
        self, arguments: Sequence[str], params: Mapping[str, Any], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs every job that is not done yet, and writes the report.

        Raises:
            Refused: before any job starts, naming every job that can't be honoured; or when
                another process runs a sweep in the folder.
            SweepError: at the end, naming every job that failed, and why.
        """
        composed = self._composed(arguments, params)
        self._objects.check(composed[0].checked.plan.experiment, len(composed))
        self.path.mkdir(parents=True, exist_ok=True)
        with Folder(self.path).locked("hydra.sweep.dir"):
            return self._run_unfinished(composed, launcher)

    def lines(self, arguments: Sequence[str], params: Mapping[str, Any]) -> list[str]:
        """What the sweep would do: its jobs, what differs, their updates each and in all.

        Raises:
            Refused: for what would keep the sweep from starting, or a job from going on.
        """
        composed = self._composed(arguments, params)
        Folder(self.path).check_free("hydra.sweep.dir")
        jobs, _ = self._jobs(composed)
        states: dict[SweepJob, tuple[int, str]] = {}
        problems: dict[str, Problem] = {}
        for job, valid in zip(jobs, (job.checked for job in composed), strict=True):
            with collecting(problems, job.label):
                plan = agreed_plan(valid, Folder(job.path))
                states[job] = plan.total_steps, folder_state(plan, Folder(job.path))
        if problems:
            raise Refused(problems.values())
        return _table(self.path, states)

    def _composed(
        self, arguments: Sequence[str], params: Mapping[str, Any]
    ) -> Sequence[ComposedJob]:
        """The jobs, checked.

        Raises:
            Refused: when one can't be honoured, or the folder is that of a search.
        """
        setup_globals()
        composed = Composer(self._config, self._loader, self._objects).jobs(arguments, params)
        Folder(self.path).check_name("hydra.sweep.dir")
        if (self.path / JOURNAL).exists():
            rule = "holds a search, and would hold a sweep besides"
            raise refuse("hydra.sweep.dir", str(self.path), rule, "hydra.sweep.dir=… is another")
        return composed

    def _run_unfinished(
        self, composed: Sequence[ComposedJob], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs the jobs that are not done, and writes the report before and after."""
        jobs, index = self._jobs(composed)
        problems: dict[str, Problem] = {}
        for job, valid in zip(jobs, (job.checked for job in composed), strict=True):
            with collecting(problems, job.label):
                self._objects.check_begun(valid, Folder(job.path))
        if problems:
            raise Refused(problems.values())
        for job in jobs:
            job.path.mkdir(parents=True, exist_ok=True)
        write(self.path / INDEX, json.dumps(index, indent=1) + "\n")
        self.jobs = jobs = list(dict.fromkeys(jobs))
        unfinished = [job for job in jobs if job.status != "done"]
        done_count = len(jobs) - len(unfinished)
        done = f", {done_count} of them done already" if done_count else ""
        print(f"{len(jobs)} jobs{done}, in {self.path}", flush=True)
        refresh(self.path)
        job_returns: Sequence[JobReturn] = []
        try:
            if unfinished:
                job_returns = launch_jobs(unfinished, launcher)
        finally:
            print(f"report: {refresh(self.path)}", flush=True)
        failed = [job for job in unfinished if job.status not in SUCCESSFUL]
        if failed:
            raise SweepError(failure_summary(failed, len(jobs)))
        return job_returns

    def _jobs(self, composed: Sequence[ComposedJob]) -> tuple[list[SweepJob], Mapping[str, str]]:
        """Every job with its folder, and the index of them with those of earlier commands.

        The folder is what `hydra.sweep.subdir` says, the one before, or the next number that is
        free.
        """
        before = read_index(self.path)
        free_numbers = (str(n) for n in count() if not (self.path / str(n)).exists())
        index: dict[str, str] = {}
        jobs = []
        for job in composed:
            key = sha256("\0".join(job.overrides).encode()).hexdigest()
            given = job.folder_name or index.get(key) or before.get(key)
            name = index[key] = given or next(free_numbers)
            jobs.append(SweepJob(job.overrides, job.label, self.path / name, name))
        return jobs, {**before, **index}


def _table(folder: Path, states: Mapping[SweepJob, tuple[int, str]]) -> list[str]:
    """A line that counts jobs and updates, and one for each job."""
    updates = [count for count, _ in states.values()]
    jobs = f"{len(states)} jobs" if len(states) != 1 else "1 job"
    each = f" of {updates[0]:,} updates" if len(set(updates)) == 1 else ""
    width, names = len(f"{max(updates):,}"), max(len(job.name) for job in states)
    return [
        f"{jobs}{each}, {sum(updates):,} updates in all, in {folder}",
        *(
            f"  {job.name:<{names}}  {count:>{width},} updates  {job.label}"
            + (f"  ({state})" if state else "")
            for job, (count, state) in states.items()
        ),
    ]
