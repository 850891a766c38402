"""A sweep: every job is checked before the first one starts, then launched and reported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from schedules.declaration import Problem, Refused, refuse

from ..commands.checks import checked
from ..config.hydra import refusing_hydra_errors
from ..config.plan import Plan
from ..runs.atomic_files import write
from ..runs.folder import Folder
from ..runs.report import refresh
from ..runs.run_folders import INDEX
from ..runs.study import JOURNAL
from .grid import combinations, distinguishing_overrides, params_overrides
from .jobs import SUCCESSFUL, SweepError, SweepJob, failure_summary, launch_jobs


class Multirun:
    """The jobs of one sweep folder; the same command goes on with them."""

    def __init__(self, config: DictConfig, loader: ConfigLoader) -> None:
        self._config, self._loader = config, loader
        self.path = Path(str(config.hydra.sweep.dir))

    def run(
        self, arguments: Sequence[str], params: Mapping[str, Any], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs every job that is not done yet, and writes the report.

        Raises:
            Refused: before any job starts, naming every job that can't be honoured; or when
                another process runs a sweep in the folder.
            SweepError: at the end, naming every job that failed, and why.
        """
        setup_globals()
        with refusing_hydra_errors(arguments):
            overrides = [*params_overrides(params, arguments), *arguments]
            combined = combinations(overrides, self._loader)
        self._check_jobs(combined)
        if (self.path / JOURNAL).exists():
            rule = "holds a search, and would hold a sweep besides"
            raise refuse("hydra.sweep.dir", str(self.path), rule, "hydra.sweep.dir=… is another")
        self.path.mkdir(parents=True, exist_ok=True)
        with Folder(self.path).locked("hydra.sweep.dir"):
            return self._run_unfinished(combined, launcher)

    def _run_unfinished(
        self, combined: Sequence[Sequence[str]], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs the jobs that are not done, and writes the report before and after."""
        jobs = self._jobs(combined)
        unfinished = [job for job in jobs if job.status != "done"]
        done_count = len(jobs) - len(unfinished)
        done = f", {done_count} of them done already" if done_count else ""
        print(f"{len(jobs)} jobs{done}, in {self.path}", flush=True)
        refresh(self.path)
        job_returns: Sequence[JobReturn] = []
        try:
            if unfinished:
                job_returns = launch_jobs(unfinished, launcher)
        finally:
            print(f"report: {refresh(self.path)}", flush=True)
        failed = [job for job in unfinished if job.status not in SUCCESSFUL]
        if failed:
            raise SweepError(failure_summary(failed, len(jobs)))
        return job_returns

    def _check_jobs(self, combined: Sequence[Sequence[str]]) -> None:
        """Composes and validates every job.

        Raises:
            Refused: with the problems of all jobs; a problem that several jobs have is named once.
        """
        problems: dict[str, Problem] = {}
        for overrides, label in zip(combined, distinguishing_overrides(combined), strict=True):
            try:
                check_job(self._config, self._loader, overrides)
            except Refused as refused:
                job = f"\n  in: the job {label}" if label else ""
                for problem in refused.problems:
                    problem_of_job = replace(problem, rule=problem.rule + job)
                    problems.setdefault(str(problem), problem_of_job)
        if problems:
            raise Refused(problems.values())

    def _jobs(self, combined: Sequence[Sequence[str]]) -> list[SweepJob]:
        """Every job with its folder: the one it had before, or the next number that is free."""
        index_file = self.path / INDEX
        before = json.loads(index_file.read_text(encoding="utf-8")) if index_file.exists() else {}
        free_numbers = (str(n) for n in count() if not (self.path / str(n)).exists())
        index: dict[str, str] = {}
        jobs = []
        for overrides, label in zip(combined, distinguishing_overrides(combined), strict=True):
            key = sha256("\0".join(overrides).encode()).hexdigest()
            index[key] = before.get(key) or next(free_numbers)
            jobs.append(SweepJob(tuple(overrides), label, self.path / index[key]))
        for job in jobs:
            job.path.mkdir(parents=True, exist_ok=True)
        write(index_file, json.dumps({**before, **index}, indent=1) + "\n")
        return list(dict.fromkeys(jobs))


def check_job(config: DictConfig, loader: ConfigLoader, overrides: Sequence[str]) -> Plan:
    """Composes and validates one job of the sweep that `config` declares; returns its plan.

    Raises:
        Refused: when it can't be honoured.
    """
    with refusing_hydra_errors(overrides):
        composed = loader.load_sweep_config(config, list(overrides))
    experiment_keys = [str(key) for key in composed if key != "hydra"]
    return checked(OmegaConf.masked_copy(composed, experiment_keys), composed.hydra).plan
