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
from ...engine.startup import diverted, wake
from ...runs.report import REPORT_SECONDS, refresh
from ..grid import differing
from ..jobs import JobError
from .grouping import alone, likeness

if TYPE_CHECKING:
    from .side_by_side import Entry


class VectorizedLauncher:
    """The jobs of a sweep: those that are alike side by side, the others one by one."""

    def __init__(self, config: DictConfig, context: HydraContext, most: int) -> None:
        """Trains at most so many side by side, and then the next.

        Raises:
            Refused: when that is no count.
        """
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            rule = "must be a whole number above 0"
            raise refuse("hydra.launcher.jobs", most, rule, "hydra.launcher.jobs=64")
        self._config, self._context, self._most = config, context, most
        self._sweep = Path(str(config.hydra.sweep.dir))

    def launch(self, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Trains all jobs; one that fails, fails alone.

        Raises:
            KeyboardInterrupt: when interrupted, once every job that was training has saved.
        """
        # Every program is new to TensorFlow, which takes them for one that is traced too often,
        # and it tells of each operation that it can only repeat for every network.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        self._backs: dict[Path, JobReturn] = {}
        self._interrupted = False
        own = [[o for o in overrides if not o.startswith("hydra.")] for overrides in jobs]
        with ExitStack() as held:
            backs, waiting = [], []
            for i, (overrides, told) in enumerate(zip(jobs, differing(own), strict=True)):
                back, job = self._taken(overrides, first + i, told, held)
                backs.append(back)
                if job:
                    self._backs[job.folder.path] = back
                    waiting.append(job)
            groups, single = self._sorted(waiting)
            self._tell(groups, single)
            for group in groups:
                self._side_by_side(group)
            for job, _ in single:
                self._by_itself(job)
        if self._interrupted:
            raise KeyboardInterrupt
        return backs

    def _taken(
        self, overrides: Sequence[str], number: int, told: str, held: ExitStack
    ) -> tuple[JobReturn, Job | None]:
        """What Hydra makes of a job, and the job, unless it is refused or done already."""
        found: list[Job] = []

        def take(config: DictConfig) -> None:
            try:
                job = Job.of(config, held)
            except (Refused, SystemExit) as error:
                raise JobError(str(error)) from None
            if job.trains and job.done():
                return
            print(f"{job.folder.path.name}  {told}".rstrip())
            if job.trains:
                job.begin()
            found.append(job)

        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        back = run_job(
            hydra_context=self._context,
            task_function=take,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        return back, next(iter(found), None)

    def _sorted(self, waiting: Sequence[Job]) -> tuple[list[list[Entry]], list[tuple[Job, str]]]:
        """The groups that train side by side, and the jobs that can't, with why."""
        groups: list[list[Entry]] = []
        single: list[tuple[Job, str]] = []
        alike: dict[str, list[Job]] = {}
        for job in waiting:
            if why := alone(job.plan.experiment):
                single.append((job, why))
            else:
                alike.setdefault(likeness(job.plan.experiment), []).append(job)
        for found in alike.values():
            if len(found) == 1:
                single.append((found[0], "no other differs from it in numbers alone"))
                continue
            wake(found[0].folder.chatter)
            with diverted(found[0].folder.chatter):
                from .side_by_side import NotVectorizableError, entered

                try:
                    made, refused = entered(found)
                except (Refused, NotVectorizableError) as error:
                    single += [(job, str(error)) for job in found]
                    continue
            for job, reason in refused:
                self._note(job, JobError(str(reason)))
            for entries in made:
                if len(entries) == 1:
                    why = "no other has the same variables, or was compiled alike"
                    single.append((entries[0].job, why))
                else:
                    size = ceil(len(entries) / ceil(len(entries) / self._most))
                    groups += [entries[i : i + size] for i in range(0, len(entries), size)]
        return groups, single

    def _side_by_side(self, group: Sequence[Entry]) -> None:
        from .side_by_side import NotVectorizableError, train

        if self._interrupted:
            return
        try:
            for ended in train(group, watch=self._report):
                if ended.error is not None:
                    self._note(ended.job, ended.error)
                self._interrupted |= ended.code > 128
                self._report()
        except NotVectorizableError as apart:
            single = [(entry.job, str(apart)) for entry in group]
            self._tell([], single)
            for job, _ in single:
                self._by_itself(job)

    def _by_itself(self, job: Job) -> None:
        if self._interrupted:
            return
        try:
            self._interrupted = job.train() > 128
        except (Refused, SystemExit) as error:
            self._note(job, JobError(str(error)))
        except Exception as error:
            self._note(job, error)
        self._report()

    def _note(self, job: Job, error: BaseException) -> None:
        """Has the sweep tell that a job failed, and why."""
        back = self._backs[job.folder.path]
        back.return_value, back.status = error, JobStatus.FAILED

    def _report(self) -> None:
        refresh(self._sweep, every=REPORT_SECONDS)

    def _tell(self, groups: Sequence[Sequence[Entry]], single: Sequence[tuple[Job, str]]) -> None:
        """Says which jobs train in which way, and why."""
        for group in groups:
            names = ", ".join(entry.name for entry in group)
            print(f"jobs {names}: {len(group)} side by side in one program")
        reasons: dict[str, list[str]] = {}
        for job, why in single:
            reasons.setdefault(why, []).append(job.folder.path.name)
        for why, found in reasons.items():
            one = len(found) == 1
            how = "by itself" if one else "each by itself"
            print(f"job{'s' * (not one)} {', '.join(found)}: {how}; {why}")
