"""`hydra/launcher=vectorized`: jobs that differ only in numbers, side by side in one program."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from schedules import Refused
from schedules.declaration import refuse

from ...commands.job import Job
from ...engine.startup import import_tensorflow, stderr_to
from ...runs.report import REPORT_SECONDS, refresh
from ..grid import distinguishing_overrides
from ..jobs import JobError
from .grouping import compile_key, why_not_vectorizable

if TYPE_CHECKING:
    from .entries import Entry

Single = tuple[Job, str]
"""A job that is trained by itself, and why."""


class VectorizedLauncher:
    """The jobs of a sweep: those with the same compile key side by side, the others one by one."""

    def __init__(self, config: DictConfig, context: HydraContext, max_jobs: int) -> None:
        """Trains at most `max_jobs` side by side, and then the next.

        Raises:
            Refused: when that is no count.
        """
        if isinstance(max_jobs, bool) or not isinstance(max_jobs, int) or max_jobs < 1:
            rule = "must be a whole number above 0"
            raise refuse("hydra.launcher.jobs", max_jobs, rule, "hydra.launcher.jobs=64")
        self._config, self._context, self._max_jobs = config, context, max_jobs
        self._sweep = Path(str(config.hydra.sweep.dir))

    def launch(self, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Trains all jobs, numbered from `first` on; one that fails, fails alone.

        Raises:
            KeyboardInterrupt: when interrupted, once every job that was training has saved.
        """
        # TensorFlow mistakes the many new programs for one that is traced too often, and warns of
        # each operation that `vectorized_map` can only repeat for every network.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        self._job_returns: dict[Path, JobReturn] = {}
        """By the folder of each job to train."""
        self._interrupted = False
        labels = distinguishing_overrides(
            [[o for o in overrides if not o.startswith("hydra.")] for overrides in jobs]
        )
        with ExitStack() as held:
            job_returns, waiting = [], []
            for i, (overrides, label) in enumerate(zip(jobs, labels, strict=True)):
                job_return, job = self._prepare(overrides, first + i, label, held)
                job_returns.append(job_return)
                if job:
                    self._job_returns[job.folder.path] = job_return
                    waiting.append(job)
            groups, singles = self._group(waiting)
            self._print_groups(groups, singles)
            for group in groups:
                self._train_group(group)
            for job, _ in singles:
                self._train_alone(job)
        if self._interrupted:
            raise KeyboardInterrupt
        return job_returns

    def _prepare(
        self, overrides: Sequence[str], number: int, label: str, held: ExitStack
    ) -> tuple[JobReturn, Job | None]:
        """Has Hydra compose a job; returns the job too, unless it is refused or done already."""
        prepared: Job | None = None

        def prepare(config: DictConfig) -> None:
            nonlocal prepared
            try:
                job = Job.of(config, held)
            except (Refused, SystemExit) as error:
                raise JobError(str(error)) from None
            if job.trains and job.done():
                return
            print(f"{job.folder.path.name}  {label}".rstrip())
            if job.trains:
                job.begin()
            prepared = job

        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        job_return = run_job(
            hydra_context=self._context,
            task_function=prepare,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        return job_return, prepared

    def _group(self, waiting: Sequence[Job]) -> tuple[list[list[Entry]], list[Single]]:
        """The groups that train side by side, and the jobs that train by themselves."""
        groups: list[list[Entry]] = []
        singles: list[Single] = []
        by_compile_key: dict[str, list[Job]] = {}
        for job in waiting:
            if why := why_not_vectorizable(job.plan.experiment):
                singles.append((job, why))
            else:
                by_compile_key.setdefault(compile_key(job.plan.experiment), []).append(job)
        for jobs in by_compile_key.values():
            if len(jobs) == 1:
                singles.append((jobs[0], "no other differs from it in numbers alone"))
                continue
            import_tensorflow(jobs[0].folder.tensorflow_log)
            with stderr_to(jobs[0].folder.tensorflow_log):
                from .entries import NotVectorizableError, group_entries

                try:
                    entry_groups, refused = group_entries(jobs)
                except (Refused, NotVectorizableError) as error:
                    singles += [(job, str(error)) for job in jobs]
                    continue
            for job, reason in refused:
                self._record_failure(job, JobError(str(reason)))
            for entries in entry_groups:
                if len(entries) == 1:
                    why = "no other has the same variables, or was compiled alike"
                    singles.append((entries[0].job, why))
                else:
                    size = ceil(len(entries) / ceil(len(entries) / self._max_jobs))
                    groups += [entries[i : i + size] for i in range(0, len(entries), size)]
        return groups, singles

    def _train_group(self, group: Sequence[Entry]) -> None:
        """Trains jobs side by side, or one by one where no program can be made for all."""
        from .entries import NotVectorizableError
        from .train_group import train_group

        if self._interrupted:
            return
        try:
            for run_end in train_group(group, watch=self._refresh_report):
                if run_end.error is not None:
                    self._record_failure(run_end.job, run_end.error)
                self._interrupted |= run_end.code > 128
                self._refresh_report()
        except NotVectorizableError as error:
            singles = [(entry.job, str(error)) for entry in group]
            self._print_groups([], singles)
            for job, _ in singles:
                self._train_alone(job)

    def _train_alone(self, job: Job) -> None:
        """Trains one job by itself."""
        if self._interrupted:
            return
        try:
            self._interrupted = job.train() > 128
        except (Refused, SystemExit) as error:
            self._record_failure(job, JobError(str(error)))
        except Exception as error:
            self._record_failure(job, error)
        self._refresh_report()

    def _record_failure(self, job: Job, error: BaseException) -> None:
        """Notes for the sweep that a job failed, and why."""
        job_return = self._job_returns[job.folder.path]
        job_return.return_value, job_return.status = error, JobStatus.FAILED

    def _refresh_report(self) -> None:
        refresh(self._sweep, every=REPORT_SECONDS)

    def _print_groups(self, groups: Sequence[Sequence[Entry]], singles: Sequence[Single]) -> None:
        """Prints which jobs train in which way, and why."""
        for group in groups:
            names = ", ".join(entry.name for entry in group)
            print(f"jobs {names}: {len(group)} side by side in one program")
        names_by_reason: dict[str, list[str]] = {}
        for job, why in singles:
            names_by_reason.setdefault(why, []).append(job.folder.path.name)
        for why, names_of_jobs in names_by_reason.items():
            if len(names_of_jobs) == 1:
                print(f"job {names_of_jobs[0]}: by itself; {why}")
            else:
                print(f"jobs {', '.join(names_of_jobs)}: each by itself; {why}")
