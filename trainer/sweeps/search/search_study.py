"""The Optuna study of a search: asks for trials, resumes them, and records how they ended."""

from __future__ import annotations

from itertools import islice
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from schedules.declaration import refuse

from ...runs.study import JOURNAL, cut_torn_line, live_trial, make_pruner, open_study
from ..jobs import SweepJob
from .settings import Settings, trial_sampler
from .space import Space

if TYPE_CHECKING:
    import optuna

AnyTrial: TypeAlias = "optuna.trial.Trial | optuna.trial.FrozenTrial"

VALUES_ATTRIBUTE = "drawn"
"""The user attribute of a trial in the journal that holds its values, by override path."""
DECLARATION_ATTRIBUTE = "declared"
"""The user attribute of the study in the journal that holds the declaration of the search."""


class SearchStudy:
    """The trials that the journal of a search holds, and those to come.

    Raises:
        Refused: when the journal holds another search.
    """

    def __init__(self, folder: Path, settings: Settings, space: Space) -> None:
        self._folder, self._settings, self._space = folder, settings, space
        cut_torn_line(folder / JOURNAL)
        direction = settings.resolved_direction()
        self._study = open_study(folder / JOURNAL, direction, make_pruner(settings.pruner))
        self._left_unfinished: set[int] = set()
        """Trials that were stopped in this process, which does not resume them."""
        self._check_same_search()

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """All trials that were begun, by their numbers."""
        return list(self._study.get_trials(deepcopy=False))

    def drawn_trials(self) -> list[optuna.trial.FrozenTrial]:
        """Those of them whose values were drawn."""
        return [trial for trial in self.trials() if VALUES_ATTRIBUTE in trial.user_attrs]

    def jobs(self) -> list[SweepJob]:
        """The runs of these, each once."""
        return list(dict.fromkeys(map(self.job, self.drawn_trials())))

    def next_batch(self, total: int, count: int) -> list[optuna.trial.Trial]:
        """The next trials, at most `count`: those that a stop left unfinished, or else new ones."""
        import optuna

        unfinished = [
            trial
            for trial in self.trials()
            if trial.state == optuna.trial.TrialState.RUNNING
            and trial.number not in self._left_unfinished
        ]
        tried = {str(trial.user_attrs.get(VALUES_ATTRIBUTE)) for trial in self.trials()}
        if not unfinished and len(tried) == self._space.size:
            return []  # there is nothing else to try
        if unfinished:
            return [self._resume(trial) for trial in unfinished[:count]]
        return [self._ask() for _ in range(min(count, total - self._begun_count()))]

    def job(self, trial: AnyTrial) -> SweepJob:
        """The run of a trial, in the folder of its number.

        Trials with the same values share the run of the first of them, as another run would give
        the same bits.
        """
        values: dict[str, str] = trial.user_attrs[VALUES_ATTRIBUTE]
        label = " ".join(f"{name}={value}" for name, value in values.items())
        numbers = (
            other.number
            for other in self.trials()
            if other.user_attrs.get(VALUES_ATTRIBUTE) == values
        )
        return SweepJob(self._space.overrides(values), label, self._folder / str(min(numbers)))

    def tell(self, trial: optuna.trial.Trial, job: SweepJob) -> str:
        """Tells Optuna how a trial ended, and returns a text that says so to the user."""
        import optuna

        states, metric = optuna.trial.TrialState, self._settings.metric
        if job.path.name != str(trial.number):  # it shares the run of an earlier trial
            reports = self.trials()[int(job.path.name)].intermediate_values
            for count, reported in reports.items():
                trial.report(reported, count)
        result = job.result() or {}
        value = result.get("metrics", {}).get(metric)
        worst = inf if self._settings.resolved_direction() == "minimize" else -inf
        match result.get("status"):
            case "done" | "stopped" if value is not None and isfinite(value):
                self._study.tell(trial, value)
                return f"{metric} {value:.6g}"
            case "pruned":
                self._study.tell(trial, state=states.PRUNED)
                return f"pruned at step {result['steps']}"
            case "done" | "stopped" if value is not None:
                self._study.tell(trial, worst)
            case "failed" if result.get("diverged"):  # the sampler is to keep away from there
                self._study.tell(trial, worst)
            case "done" | "stopped" | "failed":
                self._study.tell(trial, state=states.FAIL)
            case _:
                self._left_unfinished.add(trial.number)
                return "was left unfinished; the same command goes on with it"
        reason = str(result.get("reason") or f"measured no {metric} that is a number")
        return f"failed: {reason.splitlines()[0]}"

    def best(self) -> optuna.trial.FrozenTrial | None:
        """The trial with the best value; None when no trial measured one."""
        import optuna

        measured = [
            trial
            for trial in self.trials()
            if trial.state == optuna.trial.TrialState.COMPLETE and isfinite(trial.value or 0.0)
        ]
        sign = 1 if self._settings.resolved_direction() == "minimize" else -1
        return min(measured, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def _check_same_search(self) -> None:
        """Notes what the search is, or compares with what was noted when it began.

        Raises:
            Refused: when the earlier trials could not be compared with new ones.
        """
        now = {
            "hydra.sweeper.metric": self._settings.metric,
            "hydra.sweeper.direction": self._settings.resolved_direction(),
            "overrides": " ".join(part.lstrip("+") for part in self._space.fixed_overrides),
            **self._space.descriptions(),
        }
        before = self._study.user_attrs.get(DECLARATION_ATTRIBUTE)
        if before is None:
            self._study.set_user_attr(DECLARATION_ATTRIBUTE, now)
            return
        paths = [path for path in {**before, **now} if before.get(path) != now.get(path)]
        if paths:
            pairs = ((path, before.get(path, "fixed"), now.get(path, "fixed")) for path in paths)
            rows = (f"\n  {path}: was {was}, is {is_now}" for path, was, is_now in pairs)
            rule = f"holds a search that was declared otherwise{''.join(rows)}"
            hint = "hydra.sweep.dir=… begins another"
            raise refuse("hydra.sweep.dir", str(self._folder), rule, hint)

    def _begun_count(self) -> int:
        """How many trials there are, without those that are only enqueued."""
        import optuna

        enqueued = optuna.trial.TrialState.WAITING
        return sum(trial.state != enqueued for trial in self.trials())

    def _resume(self, trial: optuna.trial.FrozenTrial) -> optuna.trial.Trial:
        """The unfinished trial, to go on with."""
        self._use_sampler(trial.number)
        return self._with_values(live_trial(self._study, trial))

    def _ask(self) -> optuna.trial.Trial:
        """A new trial; on a grid it has the values of the next point."""
        number = self._begun_count()
        self._use_sampler(number)
        if self._settings.sampler["kind"] == "grid" and number == len(self.trials()):
            self._study.enqueue_trial(next(islice(self._space.grid_points(), number, None)))
        return self._with_values(self._study.ask())

    def _use_sampler(self, number: int) -> None:
        """Has the study draw by the sampler of trial `number`."""
        settings = self._settings
        self._study.sampler = trial_sampler(settings.sampler, settings.seed, number)

    def _with_values(self, trial: optuna.trial.Trial) -> optuna.trial.Trial:
        """The trial, with its values drawn and in the journal."""
        if VALUES_ATTRIBUTE not in trial.user_attrs:
            trial.set_user_attr(VALUES_ATTRIBUTE, self._space.suggest(trial))
        return trial
