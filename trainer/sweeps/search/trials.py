"""The trials of a search: drawn one after another, told of how they went, and gone on with."""

from __future__ import annotations

from itertools import islice
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from schedules.declaration import refuse

from ...runs.folder import Folder
from ...runs.study import JOURNAL, mended, opened, pruner
from ..jobs import SweepJob
from .settings import Settings, sampler
from .space import Space

if TYPE_CHECKING:
    import optuna

AnyTrial: TypeAlias = "optuna.trial.Trial | optuna.trial.FrozenTrial"

DRAWN, DECLARED = "drawn", "declared"
"""Where the journal keeps what a trial tries, and what the search is."""


class Trials:
    """What the journal of a search holds, and what follows from it.

    Raises:
        Refused: when it holds a search of something else.
    """

    def __init__(self, folder: Path, asked: Settings, space: Space) -> None:
        self._folder, self._asked, self._space = folder, asked, space
        mended(folder / JOURNAL)
        self._study = opened(folder / JOURNAL, asked.toward(), pruner(asked.pruner))
        self._left: set[int] = set()
        self._check_same()

    def all(self) -> list[optuna.trial.FrozenTrial]:
        """All that were begun, by their numbers."""
        return list(self._study.get_trials(deepcopy=False))

    def batch(self, total: int, count: int) -> list[optuna.trial.Trial]:
        """The next trials: those that a stop left unfinished, or else new ones."""
        import optuna

        running = [
            trial
            for trial in self.all()
            if trial.state == optuna.trial.TrialState.RUNNING and trial.number not in self._left
        ]
        known = {str(trial.user_attrs.get(DRAWN)) for trial in self.all()}
        if not running and len(known) == self._space.size:
            return []  # there is nothing else to try
        if running:
            return [self._resumed(trial) for trial in running[:count]]
        return [self._drawn() for _ in range(min(count, total - self._begun()))]

    def job(self, trial: AnyTrial) -> SweepJob:
        """The run of a trial, in the folder of its number.

        Trials with the same values share the first one's, as it would give the same bits again.
        """
        values: dict[str, str] = trial.user_attrs[DRAWN]
        told = " ".join(f"{name}={value}" for name, value in values.items())
        same = (t.number for t in self.all() if t.user_attrs.get(DRAWN) == values)
        return SweepJob(self._space.overrides(values), told, self._folder / str(min(same)))

    def tell(self, trial: optuna.trial.Trial, job: SweepJob) -> str:
        """Tells the study how a trial went, and gives it in words."""
        import optuna

        states, metric = optuna.trial.TrialState, self._asked.metric
        for count, found in self.all()[int(job.path.name)].intermediate_values.items():
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

    def best(self) -> optuna.trial.FrozenTrial | None:
        """The trial whose run ended best."""
        import optuna

        measured = [
            trial
            for trial in self.all()
            if trial.state == optuna.trial.TrialState.COMPLETE and isfinite(trial.value or 0.0)
        ]
        sign = 1 if self._asked.toward() == "minimize" else -1
        return min(measured, key=lambda trial: sign * (trial.value or 0.0), default=None)

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
            raise refuse("hydra.sweep.dir", str(self._folder), rule, hint)

    def _begun(self) -> int:
        """How many trials there are, without those that only wait to be asked for."""
        import optuna

        waits = optuna.trial.TrialState.WAITING
        return sum(trial.state != waits for trial in self.all())

    def _resumed(self, trial: optuna.trial.FrozenTrial) -> optuna.trial.Trial:
        import optuna

        self._study.sampler = sampler(self._asked.sampler, self._asked.seed, trial.number)
        return self._kept(optuna.trial.Trial(self._study, trial._trial_id))

    def _drawn(self) -> optuna.trial.Trial:
        number = self._begun()
        self._study.sampler = sampler(self._asked.sampler, self._asked.seed, number)
        if self._asked.sampler["kind"] == "grid" and number == len(self.all()):
            self._study.enqueue_trial(next(islice(self._space.points(), number, None)))
        return self._kept(self._study.ask())

    def _kept(self, trial: optuna.trial.Trial) -> optuna.trial.Trial:
        """The trial, with its values drawn and in the journal."""
        if DRAWN not in trial.user_attrs:
            trial.set_user_attr(DRAWN, self._space.drawn(trial))
        return trial
