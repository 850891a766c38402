"""`hydra/sweeper=optuna`: trials whose values follow from how the ones before them went."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from schedules.declaration import Refused, did_you_mean, refuse, within

from ...config.hydra import explaining
from ...config.hydra_sources import surroundings
from ...runs.atomic_files import write
from ...runs.folder import Folder
from ...runs.provenance import usable_cores
from ...runs.report import refresh
from ...runs.study import JOURNAL, check_pruner, required
from ...runs.trial import announce
from ..grid import wanted
from ..jobs import ENDED, SweepError, SweepJob, launched, listed, note_failure, outlived
from ..multirun import INDEX, check
from .settings import Settings, sampler
from .space import Space
from .trials import DRAWN, Trials

if TYPE_CHECKING:
    import optuna

BEST = "best.yaml"
"""The file that tells of the best trial so far."""
TRIED = 16
"""Of so many random proposals one must be honoured, or the search does not begin."""


class Search:
    """The trials of one sweep folder, which the same command goes on with."""

    def __init__(
        self, config: DictConfig, loader: ConfigLoader, settings: Mapping[str, Any]
    ) -> None:
        self._config, self._loader = config, loader
        self.path = Path(str(config.hydra.sweep.dir))
        with within("hydra", "sweeper"):
            self._asked = Settings.declared(settings)

    def run(
        self, arguments: Sequence[str], params: Mapping[str, Any], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs trials until there are as many as were asked for, and tells of the best one.

        Raises:
            Refused: before any trial starts, when no proposal can be honoured, no evaluation
                will find the metric, or the folder holds another search.
            SweepFailed: at the end, when no trial measured what is searched for.
        """
        setup_globals()
        required()
        asked = self._asked
        with explaining(arguments):
            self._space = Space.parsed([*wanted(params, arguments), *arguments], self._loader)
        total = asked.n_trials
        if asked.sampler.get("kind") == "grid":
            self._space = self._space.counted()
            total = min(total, int(self._space.size))
        count = asked.n_jobs if isinstance(asked.n_jobs, int) else _at_once(launcher, self._config)
        asked.toward()  # what these refuse is refused before there is a folder
        check_pruner(asked.pruner)
        sampler(asked.sampler, asked.seed, 0)
        self._check_some()
        self._check_folder()
        self.path.mkdir(parents=True, exist_ok=True)
        returned: list[JobReturn] = []
        with Folder(self.path).locked("hydra.sweep.dir"):
            self._trials = Trials(self.path, asked, self._space)
            ended = sum(trial.state.is_finished() for trial in self._trials.all())
            before = f", {min(ended, total)} of them ended already" if ended else ""
            print(f"{total} trials{before}, in {self.path}", flush=True)
            refresh(self.path)
            try:
                while batch := self._trials.batch(total, count):
                    returned += self._launched(batch, launcher)
            finally:
                self._note_best()
                print(f"report: {refresh(self.path)}", flush=True)
        self._tell_all()
        return returned

    def _check_some(self) -> None:
        """Validates random proposals until one can be honoured.

        Raises:
            Refused: with the problems of the first, when none can.
        """
        draws, first = Random(self._asked.seed), None
        for _ in range(TRIED):
            values = {part.name: part.at(draws.random()) for part in self._space.searched}
            try:
                return self._check(self._space.overrides(values))
            except Refused as refused:
                first = first or refused
        assert first
        raise first

    def _check(self, overrides: Sequence[str]) -> None:
        """Validates a proposal.

        Raises:
            Refused: when it can't be honoured, or would not measure what is searched for.
        """
        found = check(self._config, self._loader, overrides).evaluated
        if self._asked.metric not in found:
            rule = f"is not among what is evaluated: {', '.join(found)}"
            hint = did_you_mean(self._asked.metric, found)
            raise refuse("hydra.sweeper.metric", self._asked.metric, rule, hint)

    def _check_folder(self) -> None:
        """Refuses a folder that holds runs of something else."""
        if (self.path / JOURNAL).exists():
            return
        if (self.path / INDEX).exists() or (self.path / "0").exists():
            rule = "holds a sweep that is no search"
            hint = "hydra.sweep.dir=… begins another"
            raise refuse("hydra.sweep.dir", str(self.path), rule, hint)

    def _launched(
        self, batch: Sequence[optuna.trial.Trial], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs some trials together and tells the study how they went."""
        jobs = {trial.number: self._trials.job(trial) for trial in batch}
        waiting: list[SweepJob] = []
        for trial in batch:
            job = jobs[trial.number]
            if job.path.name != str(trial.number):
                continue
            job.path.mkdir(exist_ok=True)
            announce(job.path, trial.number, self._asked.metric, self._asked.pruner)
            outlived(job)
            if job.status in (*ENDED, "failed"):  # by a search that did not get to noting it
                continue
            try:
                self._check(job.overrides)
            except Refused as refused:
                note_failure(job, str(refused))
            else:
                print(f"trial {job}", flush=True)
                waiting.append(job)
        returned = launched(waiting, launcher, batch[0].number) if waiting else []
        for trial in batch:
            job = jobs[trial.number]
            same = f", as trial {job.path.name}" * (job.path.name != str(trial.number))
            print(f"trial {trial.number}  {self._trials.tell(trial, job)}{same}", flush=True)
        self._note_best()
        refresh(self.path)
        return returned

    def _note_best(self) -> None:
        """Writes down which trial was the best so far."""
        if best := self._trials.best():
            about = {
                "trial": best.number,
                self._asked.metric: best.value,
                "overrides": best.user_attrs[DRAWN],
                "command": self._command(best),
            }
            header = "# The best trial of this search so far, and the command that runs it again.\n"
            text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=1000)
            write(self.path / BEST, header + text)

    def _command(self, trial: optuna.trial.FrozenTrial) -> str:
        """A command that trains what a trial did."""
        overrides = list(_typed(self._trials.job(trial).overrides))
        if any(override.startswith("experiment=") for override in overrides):
            overrides.append("hydra.mode=RUN")  # it may say that it is a search
        return shlex.join(["python", "-m", "trainer", *surroundings(self._config), *overrides])

    def _tell_all(self) -> None:
        """Says how all trials ended, and which was the best.

        Raises:
            SweepFailed: when none was.
        """
        trials = [trial for trial in self._trials.all() if DRAWN in trial.user_attrs]
        jobs = list(dict.fromkeys(map(self._trials.job, trials)))
        states = Counter(job.status or "unfinished" for job in jobs)
        failed = [job for job in jobs if job.status == "failed"]
        best = self._trials.best()
        if best is None:
            nothing = f"no trial got as far as to measure {self._asked.metric}"
            raise SweepError(listed(failed, len(jobs)) if failed else nothing)
        if failed:
            print(listed(failed, len(jobs)), file=sys.stderr)
        told = ", ".join(f"{count} {state}" for state, count in states.most_common())
        runs = f" with {len(jobs)} runs" * (len(jobs) != len(trials))
        print(f"{len(trials)} trials{runs}: {told}")
        print(f"best: trial {best.number}, {self._asked.metric} {best.value:.6g}")
        print(f"  {self._command(best)}", flush=True)


def _at_once(launcher: Launcher, config: DictConfig) -> int:
    """How many jobs a launcher runs together, as far as it tells."""
    declared = config.hydra.launcher
    found = getattr(launcher, "at_once", None) or declared.get("n_jobs")
    found = found or declared.get("array_parallelism") or 1
    return int(found) if int(found) > 0 else len(usable_cores())


def _typed(overrides: Sequence[str]) -> Iterator[str]:
    """The overrides as a user types them: `widened` makes them of these again."""
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        makes_way = override.startswith("~") or value == "null"
        if not (makes_way and any(o.startswith(f"++{key}=") for o in overrides if o != override)):
            yield override.lstrip("+") if override.startswith("++") else override
