"""A run as a trial of a search: its evaluations are reported, and it may be told to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .atomic_files import write
from .study import JOURNAL, opened, pruner, required

if TYPE_CHECKING:
    import optuna

ABOUT = "trial.json"
"""The file in a run's folder by which it knows that it is a trial.

No part of the config: what the run is, it would be by itself too.
"""


@dataclass
class Trial:
    """What one run tells the search that it belongs to, whatever process or machine it is on."""

    metric: str
    _trial: optuna.trial.Trial
    _reported: set[int]
    pruned: bool = False
    """Whether the search wants no more of it."""

    @classmethod
    def of(cls, folder: Path) -> Trial | None:
        """The trial that the run in `folder` is; none where it isn't, or that has ended.

        So a run that was pruned can be gone on with by hand, to its end.
        """
        file, journal = folder / ABOUT, folder.parent / JOURNAL
        if not file.exists() or not journal.exists():
            return None
        required()
        import optuna

        about = json.loads(file.read_text(encoding="utf-8"))
        study = opened(journal, pruner=pruner(about["pruner"]))
        trials = study.get_trials(deepcopy=False)
        found = trials[about["trial"]] if about["trial"] < len(trials) else None
        if found is None or found.state.is_finished():
            return None
        trial = optuna.trial.Trial(study, found._trial_id)
        return cls(about["metric"], trial, set(found.intermediate_values))

    def hear(self, metrics: Mapping[str, float], count: int) -> None:
        """Reports the evaluation number `count`, and notes whether that is enough.

        What the disk refuses to take is left out: a run does not fail for it.
        """
        with suppress(OSError):
            if count not in self._reported:
                self._reported.add(count)
                self._trial.report(metrics[self.metric], count)
            self.pruned = self._trial.should_prune()


def announce(folder: Path, number: int, metric: str, pruner: Mapping[str, Any]) -> None:
    """Lets the run in `folder` know which trial it is, of the search in the folder above."""
    about = {"trial": number, "metric": metric, "pruner": dict(pruner)}
    write(folder / ABOUT, json.dumps(about, indent=1) + "\n")
