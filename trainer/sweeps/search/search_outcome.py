"""What a search has found: the best trial so far in a file, and how all have ended in print."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from omegaconf import DictConfig

from ...config.hydra_sources import search_path_arguments
from ...runs.atomic_files import write
from ..grid import typed_overrides
from ..jobs import SweepError, failure_summary
from .search_study import VALUES_ATTRIBUTE, SearchStudy

if TYPE_CHECKING:
    import optuna

BEST = "best.yaml"
"""The file in a search's folder that describes the best trial so far."""


class SearchOutcome:
    """The outcome of the trials of a study, in the folder of their search."""

    def __init__(self, folder: Path, study: SearchStudy, metric: str, config: DictConfig) -> None:
        self._folder, self._study, self._metric, self._config = folder, study, metric, config

    def write_best(self) -> None:
        """Writes `best.yaml`, which describes the best trial so far."""
        if best := self._study.best():
            description = {
                "trial": best.number,
                self._metric: best.value,
                "overrides": best.user_attrs[VALUES_ATTRIBUTE],
                "command": self._command(best),
            }
            header = "# The best trial of this search so far, and the command that runs it again.\n"
            text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=1000)
            write(self._folder / BEST, header + text)

    def _command(self, trial: optuna.trial.FrozenTrial) -> str:
        """A command that trains what a trial did."""
        overrides = list(typed_overrides(self._study.job(trial).overrides))
        if any(override.startswith("experiment=") for override in overrides):
            overrides.append("hydra.mode=RUN")  # the experiment file may set MULTIRUN
        return shlex.join(
            ["python", "-m", "trainer", *search_path_arguments(self._config), *overrides]
        )

    def print_summary(self) -> None:
        """Prints how all trials ended, and which was the best.

        Raises:
            SweepError: when no trial measured the metric.
        """
        trials, jobs = self._study.drawn_trials(), self._study.jobs()
        statuses = Counter(job.status or "unfinished" for job in jobs)
        failed = [job for job in jobs if job.status == "failed"]
        best = self._study.best()
        if best is None:
            nothing = f"no trial got as far as to measure {self._metric}"
            raise SweepError(failure_summary(failed, len(jobs)) if failed else nothing)
        if failed:
            print(failure_summary(failed, len(jobs)), file=sys.stderr)
        counts = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
        runs = f" with {len(jobs)} runs" if len(jobs) != len(trials) else ""
        print(f"{len(trials)} trials{runs}: {counts}")
        print(f"best: trial {best.number}, {self._metric} {best.value:.6g}")
        print(f"  {self._command(best)}", flush=True)
