"""The door for programs: what `python -m trainer -m` does, from a notebook or a script."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from schedules.declaration import Refused, refuse

from ..commands.api import silence, sole_training, trained, undisturbed
from ..commands.checks import checked
from ..commands.given import Given
from ..commands.restored import declared
from ..config.hydra import normalize_overrides, refusing_hydra_errors
from ..config.hydra_application import application, composed
from ..config.hydra_loader import checked_configs
from ..config.plan import Plan
from ..config.secret_values import with_secrets_in_environment
from ..runs.folder import Folder
from ..runs.known_secrets import know_environment, veiled_refusals
from ..runs.report import REPORT_SECONDS, refresh
from ..runs.signals import in_a_program
from .asked import typed_arguments
from .jobs import JobError, SweepError, SweepJob, quoted
from .objects import ProgramObjects
from .results import JobOutcome, Results

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..config.experiment import Experiment

DECLARED_ALONE = ("local", "vectorized")
"""The launchers that a program may choose besides `basic`, for jobs that are given no objects."""


@veiled_refusals()
def sweep(
    *asked: str | Mapping[str, Any],
    folder: str | os.PathLike[str] | None = None,
    model: keras.Model
    | Callable[[], keras.Model]
    | Callable[[Experiment], keras.Model]
    | None = None,
    data: Any = None,
    loss: Callable[[keras.Model, tuple[tf.Tensor, tf.Tensor]], tf.Tensor] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> Results:
    """Trains every combination of what overrides leave open, or goes on; gives what came of each.

    An override is a text as `python -m trainer -m` takes it, `"run.seed=range(1,4)"`. A mapping has
    values by their paths, nested or with dots: a text is what is typed behind the `=`, a list or an
    array are values to try, and a mapping with a `kind` is one value. An override wins over any
    mapping, and the last mapping over those before.

    All jobs are counted and checked before the first one starts. The folder is that of
    `python -m trainer -m`, where either may go on with the other's jobs: the same call trains what
    is not done, and more jobs are added to those that are there. Without one, a new one is made
    under `multirun/`. A job that fails, fails alone, and is an outcome with its `reason`.

    `data` and `loss` are those of `train`, which all jobs share. `model` is a function that builds
    a new network for each job, without an argument or from the job's `Experiment`; Keras is seeded
    by the job's `run.seed` for it. It is called once for the first job before any starts. Jobs run
    one after another in this process; those that are given no objects may run side by side, with
    `hydra/launcher=local` or `vectorized`. `hydra/sweeper=optuna` searches.

    Ctrl-C, or a notebook's interrupt, lets the running call finish, saves, and then raises
    KeyboardInterrupt; no further job begins. With `quiet` nothing is printed.

    Raises:
        Refused: before any job starts, with the problems of all; or when another run is under way
            in this process, or another process sweeps in the folder.
        OSError: when the folder can't be made or written to.
    """
    know_environment()
    given, build = _given(model, data, loss)
    objects = ProgramObjects(given, build)
    with sole_training("sweep"), silence(quiet), _hydra(asked, config_dir, folder) as setting:
        config, context = setting
        _check_launcher(config, objects)

        def job(task: DictConfig) -> None:
            _train(task, objects, quiet)

        sweeper: Any = Plugins.instance().instantiate_sweeper(
            config=config, hydra_context=context, task_function=job
        )
        if not hasattr(sweeper, "jobs_with"):
            name = config.hydra.runtime.choices["hydra/sweeper"]
            rule = "is another package's, and is for the command line"
            raise refuse("hydra/sweeper", name, rule, "leave it out, or hydra/sweeper=optuna")
        typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        jobs = sweeper.jobs_with(objects)
        try:
            with in_a_program(), undisturbed():
                jobs.run(typed, sweeper.params, sweeper.job_launcher)
        except SweepError as failed:
            if not quiet:
                print(failed, file=sys.stderr)
        experiment = partial(_experiment, objects=objects)
        return Results(jobs.path, [JobOutcome.of(one, experiment) for one in jobs.jobs])


def _given(model: Any, data: Any, loss: Any) -> tuple[Given, Callable[..., Any] | None]:
    """The objects that all jobs share, and the function that builds a network for each.

    Networks of Keras can be called as well.

    Raises:
        Refused: when one is nothing to train with.
    """
    is_network = "keras" in sys.modules and isinstance(model, sys.modules["keras"].Model)
    build = model if callable(model) and not is_network else None
    given = Given.of(None if build else model, data, loss)
    given.check()
    return given, build


@contextmanager
def _hydra(
    asked: Sequence[str | Mapping[str, Any]],
    config_dir: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str] | None,
) -> Iterator[tuple[DictConfig, HydraContext]]:
    """The config of a sweep as the command line composes it, and what its launcher needs."""
    flags = get_args_parser().parse_args(["--multirun"])
    flags.config_dir = config_dir
    with refusing_hydra_errors([part for part in asked if isinstance(part, str)]):
        arguments = typed_arguments(asked)
    with refusing_hydra_errors(arguments), checked_configs():
        known = with_secrets_in_environment([*arguments, *_folder_override(arguments, folder)])
        flags.overrides = list(normalize_overrides(known))
        with application(flags) as hydra:
            config = composed(hydra, flags)
            yield config, HydraContext(hydra.config_loader, Callbacks(config))


def _folder_override(arguments: Sequence[str], folder: str | os.PathLike[str] | None) -> list[str]:
    """The override by which the command line has the folder.

    Raises:
        Refused: when another one says so too.
    """
    if folder is None:
        return []
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if key == "hydra.sweep.dir":
            raise refuse(key, value, "is said twice", "leave it out: folder says it")
    return [f"hydra.sweep.dir={quoted(os.fspath(folder))}"]


def _check_launcher(config: DictConfig, objects: ProgramObjects) -> None:
    """Whether the jobs can run where `hydra/launcher` says.

    Raises:
        Refused: when they need what only this process has, or the launcher is no program's.
    """
    name = str(config.hydra.runtime.choices["hydra/launcher"])
    if name == "basic":
        return
    if name not in DECLARED_ALONE:
        hint = f"python -m trainer -m hydra/launcher={name}"
        raise refuse("hydra/launcher", name, "is for the command line", hint)
    if objects.names:
        rule = f"trains what is declared alone, and {' and '.join(objects.names)} are given"
        raise refuse("hydra/launcher", name, rule, "leave it out: one job after another, here")


def _train(task: DictConfig, objects: ProgramObjects, quiet: bool) -> None:
    """One job, in the folder that Hydra has made for it.

    Raises:
        JobError: with the reason why it failed.
        KeyboardInterrupt: when it was interrupted, so that the jobs after it don't begin.
    """
    hydra = HydraConfig.get()
    place = Folder(Path(hydra.runtime.output_dir))
    try:
        place.check_name("folder")
        valid = checked(task, hydra, objects.completed)
        given = objects.of_job(valid.plan.experiment)
        plan = Plan.of(given.completed(valid.plan.experiment))
        outcome = trained(valid._replace(plan=plan), place, given, quiet=quiet)
    except (Refused, SystemExit) as error:
        raise JobError(str(error)) from None
    finally:
        refresh(Path(hydra.sweep.dir), every=REPORT_SECONDS)
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if outcome.status == "failed":
        raise JobError(outcome.reason)


def _experiment(job: SweepJob, objects: ProgramObjects) -> Experiment:
    """What a job was, with the objects that it was given."""
    typed = (override.lstrip("+") for override in job.overrides)
    permissions = [override for override in typed if override.startswith("allow_code=")]
    experiment = declared(job.path, permissions, ())
    return objects.of_job(experiment).completed(experiment)
