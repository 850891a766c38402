"""`hydra/sweeper=optuna`: trials whose values follow from the results of earlier trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from schedules.declaration import Problem, Refused, did_you_mean, refuse, within

from ...config.experiment import Experiment
from ...config.hydra import refusing_hydra_errors
from ...runs.folder import Folder
from ...runs.provenance import usable_cores
from ...runs.report import refresh
from ...runs.run_folders import INDEX
from ...runs.study import JOURNAL, check_pruner, require_optuna
from ...runs.trial import mark_as_trial
from ..composed import NUMBERED, Composer, collecting
from ..grid import params_overrides
from ..jobs import (
    SUCCESSFUL,
    SweepJob,
    launch_jobs,
    wait_for_owner,
    write_failure,
)
from ..objects import NO_OBJECTS, Objects
from .search_outcome import SearchOutcome
from .search_study import SearchStudy
from .settings import Settings, trial_sampler
from .space import Space

if TYPE_CHECKING:
    import optuna

PROPOSALS = 16
"""How many random proposals are validated; the search begins only if one of them is valid."""


class Search:
    """The trials of one sweep folder; the same command goes on with them."""

    def __init__(
        self,
        config: DictConfig,
        loader: ConfigLoader,
        settings: Mapping[str, Any],
        objects: Objects = NO_OBJECTS,
    ) -> None:
        self._config, self._loader, self._objects = config, loader, objects
        self._composer = Composer(config, loader, objects)
        self.path = Path(str(config.hydra.sweep.dir))
        with within("hydra", "sweeper"):
            self._settings = Settings.declared(settings)

    def run(
        self, arguments: Sequence[str], params: Mapping[str, Any], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs trials until there are as many as `n_trials` says, and prints the best one.

        Raises:
            Refused: before any trial starts, when no proposal can be honoured, no evaluation
                will find the metric, or the folder holds another search.
            SweepError: at the end, when no trial measured the metric.
        """
        total = self._prepared(arguments, params)
        settings, count = self._settings, self._settings.n_jobs
        if not isinstance(count, int):
            count = _parallel_jobs(launcher, self._config)
        self.path.mkdir(parents=True, exist_ok=True)
        job_returns: list[JobReturn] = []
        with Folder(self.path).locked("hydra.sweep.dir"):
            self._study = SearchStudy(self.path, settings, self._space)
            outcome = SearchOutcome(self.path, self._study, settings.metric, self._config)
            self._check_begun()
            ended_count = sum(trial.state.is_finished() for trial in self._study.trials())
            ended = f", {min(ended_count, total)} of them ended already" if ended_count else ""
            print(f"{total} trials{ended}, in {self.path}", flush=True)
            refresh(self.path)
            try:
                while batch := self._study.next_batch(total, count):
                    job_returns += self._run_batch(batch, launcher)
                    outcome.write_best()
                    refresh(self.path)
            finally:
                outcome.write_best()
                print(f"report: {refresh(self.path)}", flush=True)
        outcome.print_summary()
        return job_returns

    @property
    def jobs(self) -> Sequence[SweepJob]:
        """The jobs of all trials so far, in their order."""
        return self._study.jobs()

    def lines(self, arguments: Sequence[str], params: Mapping[str, Any]) -> list[str]:
        """What the search would do: its trials, and what each of them draws.

        Raises:
            Refused: as `run` does, before any trial starts.
        """
        total = self._prepared(arguments, params)
        Folder(self.path).check_free("hydra.sweep.dir")
        drawn = (f"  {name}={text}" for name, text in self._space.descriptions().items())
        metric, direction = self._settings.metric, self._settings.resolved_direction()
        return [f"a search of {total} trials that {direction}s {metric}, in {self.path}", *drawn]

    def _prepared(self, arguments: Sequence[str], params: Mapping[str, Any]) -> int:
        """Reads what is to be searched, checks it, and gives how many trials there are to be.

        Raises:
            Refused: when no proposal can be honoured, no evaluation will find the metric, or the
                folder holds something else.
        """
        setup_globals()
        require_optuna()
        with refusing_hydra_errors(arguments):
            overrides = [*params_overrides(params, arguments), *arguments]
            self._space = Space.parse(overrides, self._loader)
        total = self._settings.n_trials
        if self._settings.sampler.get("kind") == "grid":
            self._space = self._space.enumerated()
            total = min(total, int(self._space.size))
        self._check_settings()
        proposed = self._check_proposals()
        self._check_folder()
        self._objects.check(proposed, total)
        return total

    def _check_settings(self) -> None:
        """Refuses a direction, a pruner or a sampler that can't be, before there is a folder."""
        settings = self._settings
        if (subdir := self._composer.subdir) != NUMBERED:
            rule = "names the folders of a search's trials, which are their numbers"
            raise refuse("hydra.sweep.subdir", subdir, rule, "leave it out")
        settings.resolved_direction()
        check_pruner(settings.pruner)
        trial_sampler(settings.sampler, settings.seed, 0)

    def _check_proposals(self) -> Experiment:
        """Validates random proposals until one can be honoured, and gives that one.

        Raises:
            Refused: with the problems of the first, when none can.
        """
        random, first_refusal = Random(self._settings.seed), None
        for _ in range(PROPOSALS):
            values = {
                parameter.name: parameter.value_at(random.random())
                for parameter in self._space.parameters
            }
            try:
                return self._check_proposal(self._space.overrides(values))
            except Refused as refused:
                first_refusal = first_refusal or refused
        assert first_refusal
        raise first_refusal

    def _check_proposal(self, overrides: Sequence[str]) -> Experiment:
        """Validates a proposal, and gives the experiment that it declares.

        Raises:
            Refused: when it can't be honoured, or its evaluations would not have the metric.
        """
        metric = self._settings.metric
        composed = self._composer.compose(overrides)
        plan = self._composer.check(composed, overrides).plan
        evaluated = plan.evaluated
        if metric not in evaluated:
            rule = f"is not among what is evaluated: {', '.join(evaluated)}"
            hint = did_you_mean(metric, evaluated)
            raise refuse("hydra.sweeper.metric", metric, rule, hint)
        return plan.experiment

    def _check_begun(self) -> None:
        """Whether the trials that have begun were given what these are given.

        Raises:
            Refused: when not, with each.
        """
        problems: dict[str, Problem] = {}
        for job in self.jobs if self._objects.names else ():
            with collecting(problems, job.label):
                composed = self._composer.compose(job.overrides)
                valid = self._composer.check(composed, job.overrides)
                self._objects.check_begun(valid, Folder(job.path))
        if problems:
            raise Refused(problems.values())

    def _check_folder(self) -> None:
        """Refuses a folder that holds runs of something else, or is named after a secret."""
        Folder(self.path).check_name("hydra.sweep.dir")
        if (self.path / JOURNAL).exists():
            return
        if (self.path / INDEX).exists() or (self.path / "0").exists():
            rule = "holds a sweep that is no search"
            hint = "hydra.sweep.dir=… begins another"
            raise refuse("hydra.sweep.dir", str(self.path), rule, hint)

    def _run_batch(
        self, batch: Sequence[optuna.trial.Trial], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs some trials together and tells the study how they ended."""
        jobs = {trial.number: self._study.job(trial) for trial in batch}
        waiting: list[SweepJob] = []
        for trial in batch:
            job = jobs[trial.number]
            if job.path.name != str(trial.number):  # it shares the run of an earlier trial
                continue
            job.path.mkdir(exist_ok=True)
            settings = self._settings
            mark_as_trial(job.path, trial.number, settings.metric, settings.pruner)
            wait_for_owner(job)
            # A killed search may have run this trial without telling the study how it ended.
            if job.status in (*SUCCESSFUL, "failed"):
                continue
            try:
                self._check_proposal(job.overrides)
            except Refused as refused:
                write_failure(job, str(refused))
            else:
                print(f"trial {job}", flush=True)
                waiting.append(job)
        job_returns = launch_jobs(waiting, launcher, batch[0].number) if waiting else []
        for trial in batch:
            job = jobs[trial.number]
            line = f"trial {trial.number}  {self._study.tell(trial, job)}"
            if job.path.name != str(trial.number):
                line += f", as trial {job.path.name}"
            print(line, flush=True)
        return job_returns


def _parallel_jobs(launcher: Launcher, config: DictConfig) -> int:
    """How many jobs a launcher runs at once; 1 where neither it nor its config says."""
    declared = config.hydra.launcher
    count = (
        getattr(launcher, "at_once", None)
        or declared.get("n_jobs")
        or declared.get("array_parallelism")
        or 1
    )
    return int(count) if int(count) > 0 else len(usable_cores())
