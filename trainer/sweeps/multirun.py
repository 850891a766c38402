"""A sweep: every job checked before the first one starts, launched, and told at the end."""

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
from ..config.hydra import explaining
from ..config.plan import Plan
from ..runs.atomic_files import write
from ..runs.folder import Folder
from ..runs.report import refresh
from ..runs.study import JOURNAL
from .grid import combinations, differing, wanted
from .jobs import ENDED, SweepError, SweepJob, launched, listed

INDEX = "sweep.json"
"""The file in a sweep's folder that knows the folder of each job."""


class Multirun:
    """The jobs of one sweep folder, which the same command goes on with."""

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
            SweepFailed: at the end, naming every job that failed, and why.
        """
        setup_globals()
        with explaining(arguments):
            combined = combinations([*wanted(params, arguments), *arguments], self._loader)
        self._check(combined)
        if (self.path / JOURNAL).exists():
            rule = "holds a search, and would hold a sweep besides"
            raise refuse("hydra.sweep.dir", str(self.path), rule, "hydra.sweep.dir=… is another")
        self.path.mkdir(parents=True, exist_ok=True)
        with Folder(self.path).locked("hydra.sweep.dir"):
            return self._run(combined, launcher)

    def _run(self, combined: Sequence[Sequence[str]], launcher: Launcher) -> Sequence[JobReturn]:
        jobs = self._placed(combined)
        waiting = [job for job in jobs if job.status != "done"]
        done = f", {len(jobs) - len(waiting)} of them done already" if jobs != waiting else ""
        print(f"{len(jobs)} jobs{done}, in {self.path}", flush=True)
        refresh(self.path)
        returned: Sequence[JobReturn] = []
        try:
            if waiting:
                returned = launched(waiting, launcher)
        finally:
            print(f"report: {refresh(self.path)}", flush=True)
        failed = [job for job in waiting if job.status not in ENDED]
        if failed:
            raise SweepError(listed(failed, len(jobs)))
        return returned

    def _check(self, combined: Sequence[Sequence[str]]) -> None:
        """Composes and validates every job.

        Raises:
            Refused: with the problems of them all, each told once.
        """
        problems: dict[str, Problem] = {}
        for overrides, told in zip(combined, differing(combined), strict=True):
            try:
                check(self._config, self._loader, overrides)
            except Refused as refused:
                where = f"\n  in: the job {told}" if told else ""
                for problem in refused.problems:
                    named = replace(problem, rule=problem.rule + where)
                    problems.setdefault(str(problem), named)
        if problems:
            raise Refused(problems.values())

    def _placed(self, combined: Sequence[Sequence[str]]) -> list[SweepJob]:
        """Every job with its folder: the one it had before, or the next number that is free."""
        index = self.path / INDEX
        before = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
        numbers = (str(n) for n in count() if not (self.path / str(n)).exists())
        folders: dict[str, str] = {}
        jobs = []
        for overrides, told in zip(combined, differing(combined), strict=True):
            key = sha256("\0".join(overrides).encode()).hexdigest()
            folders[key] = before.get(key) or next(numbers)
            jobs.append(SweepJob(tuple(overrides), told, self.path / folders[key]))
        for job in jobs:
            job.path.mkdir(parents=True, exist_ok=True)
        write(index, json.dumps({**before, **folders}, indent=1) + "\n")
        return list(dict.fromkeys(jobs))


def check(config: DictConfig, loader: ConfigLoader, overrides: Sequence[str]) -> Plan:
    """Composes and validates one job of the sweep that `config` declares.

    Raises:
        Refused: when it can't be honoured.
    """
    with explaining(overrides):
        composed = loader.load_sweep_config(config, list(overrides))
    ours = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    return checked(ours, composed.hydra).plan
