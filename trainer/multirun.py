"""A sweep: every job checked before the first one starts, launched, and told at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count, product
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, ListConfig, OmegaConf

from schedules.refusal import Problem, Refused, refuse

from .checked import checked
from .configuration import explaining, widened
from .durable import write
from .experiment import Experiment
from .folder import Folder
from .report import refresh
from .study import JOURNAL

SUBDIR = "hydra.sweep.subdir="
"""How a launcher is told the folder of each job."""
LOOK_SECONDS = 0.5
"""How often it is seen whether a job that outlived its sweep has ended."""
INDEX = "sweep.json"
"""The file in a sweep's folder that knows the folder of each job."""
ENDED = ("done", "stopped", "pruned")
"""How a run ends that did what was asked of it."""


class JobFailed(RuntimeError):  # noqa: N818  # reads as what happened
    """Why one job failed, in words that survive the way between processes."""


class SweepFailed(RuntimeError):  # noqa: N818  # reads as what happened
    """Jobs of a sweep failed, and the others went on; the message lists them."""


@dataclass(frozen=True)
class Job:
    """One combination of a sweep's values, and the folder of its run."""

    overrides: tuple[str, ...]
    told: str
    """The overrides in which it differs from the others."""
    path: Path

    @property
    def status(self) -> str | None:
        """How its run ended, or None where nothing tells."""
        ended = Folder(self.path).ended()
        return ended["status"] if ended else None

    def __str__(self) -> str:
        return f"{self.path.name}  {self.told}".rstrip()


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
            raise SweepFailed(listed(failed, len(jobs)))
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

    def _placed(self, combined: Sequence[Sequence[str]]) -> list[Job]:
        """Every job with its folder: the one it had before, or the next number that is free."""
        index = self.path / INDEX
        before = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
        numbers = (str(n) for n in count() if not (self.path / str(n)).exists())
        folders: dict[str, str] = {}
        jobs = []
        for overrides, told in zip(combined, differing(combined), strict=True):
            key = sha256("\0".join(overrides).encode()).hexdigest()
            folders[key] = before.get(key) or next(numbers)
            jobs.append(Job(tuple(overrides), told, self.path / folders[key]))
        for job in jobs:
            job.path.mkdir(parents=True, exist_ok=True)
        write(index, json.dumps({**before, **folders}, indent=1) + "\n")
        return list(dict.fromkeys(jobs))


def check(config: DictConfig, loader: ConfigLoader, overrides: Sequence[str]) -> Experiment:
    """Composes and validates one job of the sweep that `config` declares.

    Raises:
        Refused: when it can't be honoured.
    """
    with explaining(overrides):
        composed = loader.load_sweep_config(config, list(overrides))
    ours = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    return checked(ours, composed.hydra).experiment


def launched(jobs: Sequence[Job], launcher: Launcher, first: int = 0) -> Sequence[JobReturn]:
    """Runs jobs, numbered from `first` on; each leaves a word on how it ended.

    Raises:
        KeyboardInterrupt: when interrupted.
    """
    for job in jobs:
        outlived(job)
    began = {job: _changed(job) for job in jobs}
    returned: Sequence[JobReturn] = []
    gave_up: Exception | None = None
    try:
        asked = [[*job.overrides, SUBDIR + job.path.name] for job in jobs]
        returned = launcher.launch(asked, initial_job_idx=first)
    except Exception as error:  # whatever its launcher raises, a sweep tells of every job
        gave_up = error
    finally:
        for job, back in zip(jobs, [*returned, *[None] * len(jobs)], strict=False):
            if _changed(job) == began[job]:
                _note(job, back, gave_up)
    return returned


def outlived(job: Job) -> None:
    """Waits for a process that still runs the job, of a sweep that was killed."""
    if owner := Folder(job.path).owner():
        print(f"waiting for {owner}, which still runs the job {job}", flush=True)
        while Folder(job.path).owner():
            time.sleep(LOOK_SECONDS)


def surroundings(config: DictConfig) -> list[str]:
    """What a command line needs besides overrides to find the options that this one found."""
    added = [
        word
        for source in config.hydra.runtime.config_sources
        if source.provider == "command-line"
        for word in ("--config-dir", source.path)
    ]
    search = [o for o in config.hydra.overrides.hydra if o.startswith("hydra.searchpath=")]
    return [*added, *search]


def combinations(
    arguments: Sequence[str], loader: ConfigLoader | None = None
) -> list[tuple[str, ...]]:
    """Every combination of the values that overrides leave open; the last one varies fastest.

    >>> combinations(["schedule=cosine,rex", "run.seed=1,2"])[:2]
    [('schedule=cosine', 'run.seed=1'), ('schedule=cosine', 'run.seed=2')]

    Raises:
        Refused: when a range has no steps.
    """
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    return list(product(*map(_options, parsed)))


def _options(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    if not override.is_discrete_sweep():
        rule = "is a range without steps, which needs a search"
        value = str(override.input_line).partition("=")[2]
        hint = "logspace(1e-4,1e-1,7) has seven; hydra/sweeper=optuna searches"
        raise refuse(key.lstrip("+"), value, rule, hint)
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def wanted(params: Mapping[str, Any], arguments: Iterable[str]) -> list[str]:
    """The overrides that an experiment file sweeps over, where the command line says nothing.

    >>> wanted({"run.seed": [1, 2], "schedule": "cosine,linear"}, ["schedule=rex"])
    ['++run.seed=1,2']
    """
    given = {argument.partition("=")[0].lstrip("+~") for argument in arguments}
    asked = {
        key: ",".join(map(str, value)) if isinstance(value, list | ListConfig) else value
        for key, value in params.items()
        if key not in given
    }
    return list(widened(f"{key}={value}" for key, value in asked.items()))


def differing(combined: Sequence[Sequence[str]]) -> list[str]:
    """Of each combination the overrides that are not in all of them.

    >>> differing([("a=1", "b=1"), ("a=1", "b=2")])
    ['b=1', 'b=2']
    """
    common = set(combined[0]).intersection(*combined[1:]) if len(combined) > 1 else set()
    return [" ".join(o.lstrip("+") for o in job if o not in common) for job in combined]


def _changed(job: Job) -> int | None:
    """When the job's result was written, to tell whether it was written again."""
    with suppress(FileNotFoundError):
        return Folder(job.path).result.stat().st_mtime_ns
    return None


def _note(job: Job, back: JobReturn | None, gave_up: Exception | None) -> None:
    """Writes down why a job left no word on how it ended."""
    if back is not None and back.status == JobStatus.COMPLETED:
        return
    error = back._return_value if back is not None else gave_up
    if error is None:  # the sweep was stopped before this job's turn
        return
    spoken = isinstance(error, JobFailed)
    note_failure(job, str(error) if spoken else f"{type(error).__name__}: {error}")


def note_failure(job: Job, reason: str) -> None:
    """Writes the result of a job that failed before it could itself."""
    result = {"status": "failed", "reason": reason, "steps": 0, "metrics": {}}
    write(Folder(job.path).result, json.dumps(result, indent=1) + "\n")


def listed(failed: Sequence[Job], total: int) -> str:
    """All jobs that failed, each with its reason."""

    def reasons() -> Iterator[str]:
        for job in failed:
            ended = Folder(job.path).ended() or {}
            yield f"  {job}\n    " + str(
                ended.get("reason", ended.get("status", "it left no word"))
            ).replace("\n", "\n    ")

    return "\n".join([f"{len(failed)} of {total} jobs failed:", *reasons()])
