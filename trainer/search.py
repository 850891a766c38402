"""`hydra/sweeper=optuna`: trials whose values follow from how the ones before them went."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import inf, isfinite
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from schedules.refusal import Refused, did_you_mean, refuse, within

from .configuration import explaining
from .durable import write
from .folder import Folder
from .multirun import (
    ENDED,
    INDEX,
    Job,
    SweepFailed,
    check,
    launched,
    listed,
    note_failure,
    outlived,
    surroundings,
    wanted,
)
from .provenance import usable_cores
from .report import refresh
from .space import Space
from .study import JOURNAL, Settings, check_pruner, mended, opened, pruner, required, sampler
from .trial import announce

if TYPE_CHECKING:
    import optuna

AnyTrial: TypeAlias = "optuna.trial.Trial | optuna.trial.FrozenTrial"

BEST = "best.yaml"
"""The file that tells of the best trial so far."""
TRIED = 16
"""Of so many random proposals one must be honoured, or the search does not begin."""
DRAWN, DECLARED = "drawn", "declared"
"""Where the journal keeps what a trial tries, and what the search is."""


class Search:
    """The trials of one sweep folder, which the same command goes on with."""

    def __init__(
        self, config: DictConfig, loader: ConfigLoader, settings: Mapping[str, Any]
    ) -> None:
        self._config, self._loader = config, loader
        self.path = Path(str(config.hydra.sweep.dir))
        with within("hydra", "sweeper"):
            self._asked = Settings.declared(settings)
        self._left: set[int] = set()

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
        direction = asked.toward()
        check_pruner(asked.pruner)
        sampler(asked.sampler, asked.seed, 0)
        self._check_some()
        self._check_folder()
        self.path.mkdir(parents=True, exist_ok=True)
        returned: list[JobReturn] = []
        with Folder(self.path).locked("hydra.sweep.dir"):
            mended(self.path / JOURNAL)
            self._study = opened(self.path / JOURNAL, direction, pruner(asked.pruner))
            self._check_same()
            ended = sum(trial.state.is_finished() for trial in self._trials())
            before = f", {min(ended, total)} of them ended already" if ended else ""
            print(f"{total} trials{before}, in {self.path}", flush=True)
            refresh(self.path)
            try:
                while batch := self._batch(total, count):
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
        found = check(self._config, self._loader, overrides).evaluated()
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

    def _check_same(self) -> None:
        """Refuses to go on with a search whose trials could not be compared with new ones."""
        now = {
            "hydra.sweeper.metric": self._asked.metric,
            "hydra.sweeper.direction": self._asked.toward(),
            "overrides": " ".join(part.lstrip("+") for part in self._space.fixed),
            **self._space.told(),
        }
        before = self._study.user_attrs.get(DECLARED)
        if before is None:
            self._study.set_user_attr(DECLARED, now)
            return
        paths = [path for path in {**before, **now} if before.get(path) != now.get(path)]
        if paths:
            pairs = ((path, before.get(path, "fixed"), now.get(path, "fixed")) for path in paths)
            rows = (f"\n  {path}: was {was}, is {is_now}" for path, was, is_now in pairs)
            rule = f"holds a search that was declared otherwise{''.join(rows)}"
            hint = "hydra.sweep.dir=… begins another"
            raise refuse("hydra.sweep.dir", str(self.path), rule, hint)

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return list(self._study.get_trials(deepcopy=False))

    def _batch(self, total: int, count: int) -> list[optuna.trial.Trial]:
        """The next trials: those that a stop left unfinished, or else new ones."""
        import optuna

        running = [
            trial
            for trial in self._trials()
            if trial.state == optuna.trial.TrialState.RUNNING and trial.number not in self._left
        ]
        known = {str(trial.user_attrs.get(DRAWN)) for trial in self._trials()}
        if not running and len(known) == self._space.size:
            return []  # there is nothing else to try
        if running:
            return [self._resumed(trial) for trial in running[:count]]
        return [self._drawn() for _ in range(min(count, total - self._begun()))]

    def _begun(self) -> int:
        """How many trials there are, without those that only wait to be asked for."""
        import optuna

        waits = optuna.trial.TrialState.WAITING
        return sum(trial.state != waits for trial in self._trials())

    def _resumed(self, trial: optuna.trial.FrozenTrial) -> optuna.trial.Trial:
        import optuna

        self._study.sampler = sampler(self._asked.sampler, self._asked.seed, trial.number)
        return self._kept(optuna.trial.Trial(self._study, trial._trial_id))

    def _drawn(self) -> optuna.trial.Trial:
        number = self._begun()
        self._study.sampler = sampler(self._asked.sampler, self._asked.seed, number)
        if self._asked.sampler["kind"] == "grid" and number == len(self._trials()):
            self._study.enqueue_trial(next(islice(self._space.points(), number, None)))
        return self._kept(self._study.ask())

    def _kept(self, trial: optuna.trial.Trial) -> optuna.trial.Trial:
        """The trial, with its values drawn and in the journal."""
        if DRAWN not in trial.user_attrs:
            trial.set_user_attr(DRAWN, self._space.drawn(trial))
        return trial

    def _job(self, trial: AnyTrial) -> Job:
        """The run of a trial, in the folder of its number.

        Trials with the same values share the first one's, as it would give the same bits again.
        """
        values: dict[str, str] = trial.user_attrs[DRAWN]
        told = " ".join(f"{name}={value}" for name, value in values.items())
        same = (t.number for t in self._trials() if t.user_attrs.get(DRAWN) == values)
        return Job(self._space.overrides(values), told, self.path / str(min(same)))

    def _launched(
        self, batch: Sequence[optuna.trial.Trial], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs some trials together and tells the study how they went."""
        jobs = {trial.number: self._job(trial) for trial in batch}
        waiting: list[Job] = []
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
            print(f"trial {trial.number}  {self._tell(trial, job)}{same}", flush=True)
        self._note_best()
        refresh(self.path)
        return returned

    def _tell(self, trial: optuna.trial.Trial, job: Job) -> str:
        """Tells the study how a trial went, and gives it in words."""
        import optuna

        states, metric = optuna.trial.TrialState, self._asked.metric
        for count, found in self._trials()[int(job.path.name)].intermediate_values.items():
            if job.path.name != str(trial.number):
                trial.report(found, count)
        ended = Folder(job.path).ended() or {}
        value = ended.get("metrics", {}).get(metric)
        worst = inf if self._asked.toward() == "minimize" else -inf
        match ended.get("status"):
            case "done" | "stopped" if value is not None and isfinite(value):
                self._study.tell(trial, value)
                return f"{metric} {value:.6g}"
            case "pruned":
                self._study.tell(trial, state=states.PRUNED)
                return f"pruned at step {ended['steps']}"
            case "done" | "stopped" if value is not None:
                self._study.tell(trial, worst)
            case "failed" if ended.get("diverged"):  # the search is to keep away from there
                self._study.tell(trial, worst)
            case "done" | "stopped" | "failed":
                self._study.tell(trial, state=states.FAIL)
            case _:
                self._left.add(trial.number)
                return "was left unfinished; the same command goes on with it"
        reason = str(ended.get("reason") or f"measured no {metric} that is a number")
        return f"failed: {reason.splitlines()[0]}"

    def _best(self) -> optuna.trial.FrozenTrial | None:
        """The trial whose run ended best."""
        import optuna

        measured = [
            trial
            for trial in self._trials()
            if trial.state == optuna.trial.TrialState.COMPLETE and isfinite(trial.value or 0.0)
        ]
        sign = 1 if self._asked.toward() == "minimize" else -1
        return min(measured, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def _note_best(self) -> None:
        """Writes down which trial was the best so far."""
        if best := self._best():
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
        overrides = list(_typed(self._job(trial).overrides))
        if any(override.startswith("experiment=") for override in overrides):
            overrides.append("hydra.mode=RUN")  # it may say that it is a search
        return shlex.join(["python", "-m", "trainer", *surroundings(self._config), *overrides])

    def _tell_all(self) -> None:
        """Says how all trials ended, and which was the best.

        Raises:
            SweepFailed: when none was.
        """
        trials = [trial for trial in self._trials() if DRAWN in trial.user_attrs]
        jobs = list(dict.fromkeys(map(self._job, trials)))
        states = Counter(job.status or "unfinished" for job in jobs)
        failed = [job for job in jobs if job.status == "failed"]
        best = self._best()
        if best is None:
            raise SweepFailed(listed(failed, len(jobs)))
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
