"""A sweep: every job is checked before the first one starts, then launched and reported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from schedules.declaration import refuse

from ..runs.atomic_files import write
from ..runs.folder import Folder
from ..runs.report import refresh
from ..runs.run_folders import INDEX
from ..runs.study import JOURNAL
from .composed import ComposedJob, Composer
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
        composed = Composer(self._config, self._loader).jobs(arguments, params)
        Folder(self.path).check_name("hydra.sweep.dir")
        if (self.path / JOURNAL).exists():
            rule = "holds a search, and would hold a sweep besides"
            raise refuse("hydra.sweep.dir", str(self.path), rule, "hydra.sweep.dir=… is another")
        self.path.mkdir(parents=True, exist_ok=True)
        with Folder(self.path).locked("hydra.sweep.dir"):
            return self._run_unfinished(composed, launcher)

    def _run_unfinished(
        self, composed: Sequence[ComposedJob], launcher: Launcher
    ) -> Sequence[JobReturn]:
        """Runs the jobs that are not done, and writes the report before and after."""
        jobs = self._jobs(composed)
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

    def _jobs(self, composed: Sequence[ComposedJob]) -> list[SweepJob]:
        """Every job with its folder.

        It is what `hydra.sweep.subdir` says, the one before, or the next number that is free.
        """
        index_file = self.path / INDEX
        before = json.loads(index_file.read_text(encoding="utf-8")) if index_file.exists() else {}
        free_numbers = (str(n) for n in count() if not (self.path / str(n)).exists())
        index: dict[str, str] = {}
        jobs = []
        for job in composed:
            key = sha256("\0".join(job.overrides).encode()).hexdigest()
            name = index[key] = job.folder_name or before.get(key) or next(free_numbers)
            jobs.append(SweepJob(job.overrides, job.label, self.path / name, name))
        for sweep_job in jobs:
            sweep_job.path.mkdir(parents=True, exist_ok=True)
        write(index_file, json.dumps({**before, **index}, indent=1) + "\n")
        return list(dict.fromkeys(jobs))
