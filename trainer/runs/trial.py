"""A run as a trial of a search: reports its evaluations, and may be pruned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from schedules.declaration import ABSENT, refuse
from schedules.declaration.plain_files import json_value, read_plain

from .atomic_files import write
from .study import JOURNAL, live_trial, make_pruner, open_study, require_optuna

if TYPE_CHECKING:
    import optuna

MAX_BYTES = 2**20
TRIAL_FILE = "trial.json"
"""The file that makes the run in a folder a trial.

It is not part of the config: the run would be the same without a search.
"""


class About(BaseModel):
    """What `trial.json` holds."""

    model_config = ConfigDict(strict=True)

    trial: Annotated[int, Field(ge=0)]
    metric: str
    pruner: dict[str, Any]


@dataclass
class Trial:
    """Reports one run to its search, from whatever process or machine the run is on."""

    metric: str
    _trial: optuna.trial.Trial
    _reported: set[int]
    pruned: bool = False
    """Whether the search has stopped the run early."""

    @classmethod
    def of(cls, folder: Path) -> Trial | None:
        """The trial of the run in a folder; None if it has none, or the trial has ended.

        A run that was pruned can therefore be continued by hand to its end.

        Raises:
            Refused: when its file or the search's journal can't be read.
        """
        about, journal = read_trial(folder), folder.parent / JOURNAL
        if about is None or not journal.exists():
            return None
        require_optuna()
        study = open_study(journal, pruner=make_pruner(about.pruner))
        trials = study.get_trials(deepcopy=False)
        if about.trial >= len(trials) or trials[about.trial].state.is_finished():
            return None
        record = trials[about.trial]
        return cls(about.metric, live_trial(study, record), set(record.intermediate_values))

    def report(self, metrics: Mapping[str, float], count: int) -> None:
        """Reports the evaluation number `count`, and notes whether the search prunes the run.

        A report that the disk refuses is left out: a run does not fail for it.
        """
        with suppress(OSError):
            if count not in self._reported:
                self._reported.add(count)
                self._trial.report(metrics[self.metric], count)
            self.pruned = self._trial.should_prune()


def read_trial(folder: Path) -> About | None:
    """What makes the run in a folder a trial; None where nothing does.

    Raises:
        Refused: when the file can't be read.
    """
    path = folder / TRIAL_FILE
    try:
        return About.model_validate(json_value(read_plain(path, MAX_BYTES, follow_links=False)))
    except FileNotFoundError:
        return None
    except OSError as error:
        why = str(error.strerror)
    except ValueError as error:
        why = " ".join(str(error).split())
    hint = "without the file the run is no trial of a search"
    raise refuse(str(path), ABSENT, f"can't be read: {why}", hint)


def mark_as_trial(folder: Path, number: int, metric: str, pruner: Mapping[str, Any]) -> None:
    """Makes the run in a folder the trial of that number, of the search in the folder above."""
    about = {"trial": number, "metric": metric, "pruner": dict(pruner)}
    write(folder / TRIAL_FILE, json.dumps(about, indent=1) + "\n")
