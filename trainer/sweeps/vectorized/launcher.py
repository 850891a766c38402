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

from ...commands.job import Assignment
from ...report import REPORT_SECONDS, refresh
from ...training.run import diverted, wake
from ..grid import differing
from ..jobs import JobFailed
from .grouping import alone, likeness

if TYPE_CHECKING:
    from .side_by_side import Entry


class Fleet:
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
                back, assignment = self._taken(overrides, first + i, told, held)
                backs.append(back)
                if assignment:
                    self._backs[assignment.folder.path] = back
                    waiting.append(assignment)
            groups, single = self._sorted(waiting)
            self._tell(groups, single)
            for group in groups:
                self._side_by_side(group)
            for assignment, _ in single:
                self._by_itself(assignment)
        if self._interrupted:
            raise KeyboardInterrupt
        return backs

    def _taken(
        self, overrides: Sequence[str], number: int, told: str, held: ExitStack
    ) -> tuple[JobReturn, Assignment | None]:
        """What Hydra makes of a job, and the job, unless it is refused or done already."""
        found: list[Assignment] = []

        def take(config: DictConfig) -> None:
            try:
                assignment = Assignment.of(config, held)
            except (Refused, SystemExit) as error:
                raise JobFailed(str(error)) from None
            if assignment.trains and assignment.done():
                return
            print(f"{assignment.folder.path.name}  {told}".rstrip())
            if assignment.trains:
                assignment.begin()
            found.append(assignment)

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

    def _sorted(
        self, waiting: Sequence[Assignment]
    ) -> tuple[list[list[Entry]], list[tuple[Assignment, str]]]:
        """The groups that train side by side, and the jobs that can't, with why."""
        groups: list[list[Entry]] = []
        single: list[tuple[Assignment, str]] = []
        alike: dict[str, list[Assignment]] = {}
        for assignment in waiting:
            if why := alone(assignment.experiment):
                single.append((assignment, why))
            else:
                alike.setdefault(likeness(assignment.experiment), []).append(assignment)
        for found in alike.values():
            if len(found) == 1:
                single.append((found[0], "no other differs from it in numbers alone"))
                continue
            wake(found[0].folder.chatter)
            with diverted(found[0].folder.chatter):
                from .side_by_side import Apart, entered

                try:
                    made, refused = entered(found)
                except (Refused, Apart) as error:
                    single += [(assignment, str(error)) for assignment in found]
                    continue
            for assignment, reason in refused:
                self._note(assignment, JobFailed(str(reason)))
            for entries in made:
                if len(entries) == 1:
                    why = "no other has the same variables, or was compiled alike"
                    single.append((entries[0].assignment, why))
                else:
                    size = ceil(len(entries) / ceil(len(entries) / self._most))
                    groups += [entries[i : i + size] for i in range(0, len(entries), size)]
        return groups, single

    def _side_by_side(self, group: Sequence[Entry]) -> None:
        from .side_by_side import Apart, train

        if self._interrupted:
            return
        try:
            for ended in train(group, watch=self._report):
                if ended.error is not None:
                    self._note(ended.assignment, ended.error)
                self._interrupted |= ended.code > 128
                self._report()
        except Apart as apart:
            single = [(entry.assignment, str(apart)) for entry in group]
            self._tell([], single)
            for assignment, _ in single:
                self._by_itself(assignment)

    def _by_itself(self, assignment: Assignment) -> None:
        if self._interrupted:
            return
        try:
            self._interrupted = assignment.train() > 128
        except (Refused, SystemExit) as error:
            self._note(assignment, JobFailed(str(error)))
        except Exception as error:
            self._note(assignment, error)
        self._report()

    def _note(self, assignment: Assignment, error: BaseException) -> None:
        """Has the sweep tell that a job failed, and why."""
        back = self._backs[assignment.folder.path]
        back.return_value, back.status = error, JobStatus.FAILED

    def _report(self) -> None:
        refresh(self._sweep, every=REPORT_SECONDS)

    def _tell(
        self, groups: Sequence[Sequence[Entry]], single: Sequence[tuple[Assignment, str]]
    ) -> None:
        """Says which jobs train in which way, and why."""
        for group in groups:
            names = ", ".join(entry.name for entry in group)
            print(f"jobs {names}: {len(group)} side by side in one program")
        reasons: dict[str, list[str]] = {}
        for assignment, why in single:
            reasons.setdefault(why, []).append(assignment.folder.path.name)
        for why, found in reasons.items():
            one = len(found) == 1
            how = "by itself" if one else "each by itself"
            print(f"job{'s' * (not one)} {', '.join(found)}: {how}; {why}")
