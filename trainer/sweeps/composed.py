"""The jobs of a sweep as Hydra composes them, each checked before the first one starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict

from schedules.declaration import ABSENT, Problem, Refused, refuse

from ..commands.checks import Checked, checked
from ..config.hydra import refusing_hydra_errors
from ..config.hydra_sources import hydra_overrides
from ..config.sweep_words import MAX_JOBS, too_many
from .axes import combination_count, parse_axes, path_of, values
from .grid import combinations, distinguishing_overrides, params_overrides
from .objects import NO_OBJECTS, Objects

NUMBERED = "${hydra.job.num}"
"""The `hydra.sweep.subdir` where nothing else is said: a job's folder is its number."""
SWEEP_WIDE = ("launcher", "sweeper", "sweep", "callbacks", "searchpath")
"""The settings of Hydra that hold for all jobs of a sweep."""


class ComposedJob(NamedTuple):
    """One job that can be honoured."""

    overrides: tuple[str, ...]
    label: str
    """The overrides in which it differs from the other jobs."""
    checked: Checked
    folder_name: str | None
    """What `hydra.sweep.subdir` makes of its values; None where its number is its name."""


class Composer:
    """Composes the jobs of the sweep that `config` declares."""

    def __init__(
        self, config: DictConfig, loader: ConfigLoader, objects: Objects = NO_OBJECTS
    ) -> None:
        """Takes the config that all jobs have in common, and what a program gives for them.

        Raises:
            Refused: when it names the folder of a single run.
        """
        self._config, self._loader, self._objects = config, loader, objects
        for override in hydra_overrides(config, "hydra.run.dir="):
            key, _, value = override.partition("=")
            rule = "is the folder of a single run, and a sweep makes many"
            raise refuse(key, value, rule, f"hydra.sweep.dir={value}")

    @property
    def subdir(self) -> str:
        """`hydra.sweep.subdir` as it is written."""
        return str(_setting(self._config, "sweep")["subdir"])

    def jobs(self, arguments: Sequence[str], params: Mapping[str, Any]) -> list[ComposedJob]:
        """Every combination of what overrides and experiment files leave open, checked.

        Raises:
            Refused: with the problems of all jobs; a problem that several jobs have is named once.
        """
        with refusing_hydra_errors(arguments):
            combined = self._combinations(arguments, params)
        jobs: list[ComposedJob] = []
        problems: dict[str, Problem] = {}
        labels = distinguishing_overrides(combined)
        for number, (overrides, label) in enumerate(zip(combined, labels, strict=True)):
            with collecting(problems, label):
                composed = self.compose(overrides)
                valid = self.check(composed, overrides)
                name = self._folder_name(composed, number)
                jobs.append(ComposedJob(overrides, label, valid, name))
        if problems:
            raise Refused(problems.values())
        _check_names(jobs, self.subdir)
        return jobs

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of one job, as its launcher will have it.

        Raises:
            Refused: when Hydra can't compose it.
        """
        with refusing_hydra_errors(overrides):
            return self._loader.load_sweep_config(self._config, list(overrides))

    def check(self, composed: DictConfig, overrides: Sequence[str]) -> Checked:
        """Validates the config of one job, and that nothing of what it asks for is dropped.

        Raises:
            Refused: when it can't be honoured.
        """
        self._check_shared(composed)
        keys = {override.partition("=")[0].lstrip("+~") for override in overrides}
        params = composed.hydra.sweeper.get("params") or {}
        if dropped := [str(key) for key in params if key not in keys]:
            rule = f"would be dropped: the file of one option among several varies {dropped[0]}"
            raise refuse("hydra.sweeper.params", ABSENT, rule, "sweep over that option by itself")
        experiment_keys = [str(key) for key in composed if key != "hydra"]
        task = OmegaConf.masked_copy(composed, experiment_keys)
        return checked(task, composed.hydra, self._objects.completed)

    def _combinations(
        self, arguments: Sequence[str], params: Mapping[str, Any]
    ) -> list[tuple[str, ...]]:
        """What is to be tried; of several experiments each with what its own file varies.

        Raises:
            Refused: when there is more to try than a sweep may have jobs.
        """
        declared = [*params_overrides(params, arguments), *arguments]
        combined = combinations(declared, self._loader)
        varied = self._varied_by_options(declared, params)
        inner = [_inner_overrides(overrides, varied) for overrides in combined]
        count = sum(combination_count(overrides, self._loader) for overrides in inner)
        if count > MAX_JOBS:
            raise too_many("hydra.sweeper.params", ABSENT, count, "sweep over fewer options")
        return [
            (*more, *overrides)
            for overrides, own in zip(combined, inner, strict=True)
            for more in combinations(own, self._loader)
        ]

    def _varied_by_options(
        self, declared: Sequence[str], params: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """What `hydra.sweeper.params` is in each option that is one of several of its group.

        `experiment=sgdr,decays` are two options, and each of the files varies something.

        Raises:
            Refused: when one sets what holds for the whole sweep.
        """
        overrides, axes = parse_axes(declared, self._loader)
        fixed = [str(o.input_line) for o in overrides if not o.is_sweep_override()]
        groups = set(self._loader.list_groups(""))
        swept = [o for axis in axes for o in axis.overrides if path_of(o) in groups]
        varied: dict[str, dict[str, Any]] = {}
        for option in (option for override in swept for option in values(override)):
            try:
                composed = self.compose([*fixed, option])
            except Refused:  # as the jobs will be that have this option
                continue
            self._check_shared(composed, option)
            own = dict(composed.hydra.sweeper.get("params") or {})
            varied[option] = {key: own[key] for key in own if key not in params}
        return varied

    def _check_shared(self, composed: DictConfig, option: str = "") -> None:
        """Whether the config of one job leaves what holds for all of them as it is.

        Raises:
            Refused: when it, or the file of its `option`, sets another launcher, say.
        """
        for name in SWEEP_WIDE:
            if _setting(self._config, name) != _setting(composed, name):
                path, _, value = option.partition("=")
                rule = f"sets hydra.{name}, which holds for a whole sweep, and is one of several"
                hint = f"sweep over it by itself: {option}" if option else ""
                raise refuse(path or f"hydra.{name}", value or ABSENT, rule, hint)

    def _folder_name(self, composed: DictConfig, number: int) -> str | None:
        """The folder of a job within the sweep's, as its values make it; None for its number.

        Raises:
            Refused: when it leads out of the sweep's folder.
        """
        if self.subdir == NUMBERED:
            return None
        with open_dict(composed), refusing_hydra_errors(()):
            composed.hydra.job.num = number
            name = str(composed.hydra.sweep.subdir)
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            rule = f"must name a folder inside of hydra.sweep.dir, and gives {name!r}"
            raise refuse("hydra.sweep.subdir", self.subdir, rule, "seed_${run.seed} is one")
        return str(path)


@contextmanager
def collecting(problems: dict[str, Problem], label: str) -> Iterator[None]:
    """Adds what the block refuses of the job with this label; what several have, once."""
    try:
        yield
    except Refused as refused:
        job = f"\n  in: the job {label}" if label else ""
        for problem in refused.problems:
            problems.setdefault(str(problem), replace(problem, rule=problem.rule + job))


def _inner_overrides(
    overrides: Sequence[str], varied: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """The overrides that the files of a combination's options add to it."""
    params = {key: value for o in overrides for key, value in varied.get(o, {}).items()}
    return params_overrides(params, overrides)


def _check_names(jobs: Sequence[ComposedJob], written: str) -> None:
    """Whether every job has a folder of its own, and none is inside of another's.

    Raises:
        Refused: naming two jobs that share one.
    """
    labels: dict[str, str] = {}
    for job in jobs:
        if job.folder_name is not None:
            label = labels.setdefault(job.folder_name, job.label)
            if label != job.label:
                raise _shared_folder(written, job.folder_name, label, job.label)
    for name, label in labels.items():
        for parent in map(str, PurePosixPath(name).parents):
            if parent in labels:
                raise _shared_folder(written, parent, labels[parent], label)


def _shared_folder(written: str, name: str, *labels: str) -> Refused:
    rule = f"gives the folder {name} to the jobs {' and '.join(labels)}"
    hint = "${hydra.job.num} tells all jobs apart, and is the default"
    return refuse("hydra.sweep.subdir", written, rule, hint)


def _setting(config: DictConfig, name: str) -> Any:
    """One of Hydra's settings as it is written, without what experiment files vary."""
    value = config.hydra.get(name)
    plain: Any = (
        OmegaConf.to_container(value, resolve=False) if OmegaConf.is_config(value) else value
    )
    return {key: plain[key] for key in plain if key != "params"} if name == "sweeper" else plain
