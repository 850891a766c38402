"""What decides how a run's loop is compiled: the config, the folder, the cache, or measuring."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from schedules.declaration.plain_files import read_plain

from ..config.experiment import Experiment
from ..runs.checkpoint_files import Saved
from ..runs.checkpoints import CheckpointMismatchError
from ..runs.folder import Folder
from .compile_cache import LARGEST, cache_choice, cached_choice
from .compile_measuring import CompileChoice, Measurable, measure, rate
from .kept_programs import seal_programs
from .program import Compiled

P = TypeVar("P", bound=Measurable)


def known_choice(
    experiment: Experiment,
    device: str,
    binding: Iterable[CompileChoice | None],
    *,
    together: int = 1,
    alone: bool = False,
) -> CompileChoice | None:
    """The choice for a program that is known before measuring; None where measuring decides.

    `binding` has the `binding_choice` of each run whose network goes through the program: the
    first that there is counts, and else what a like run on such a machine measured, which is in
    the user's cache. `together` networks go through it; a run that is `alone` in its process may
    be told to take one thread.
    """
    known = next(filter(None, binding), None)
    return known or cached_choice(experiment, device, together, alone=alone)


def binding_choice(
    experiment: Experiment, folder: Folder, saved: Saved | None
) -> CompileChoice | None:
    """The choice that this very run has to keep: of the first of these that has one, if any.

    1. the config: `run.compile`
    2. the folder: what an earlier process on it settled on, in `chosen.json`
    3. its checkpoint: what the run began with

    Raises:
        CheckpointMismatchError: when what the folder has can't be read.
    """
    if experiment.run.compile != "auto":
        return CompileChoice(experiment.run.compile, {})
    if kept := _kept(folder):
        return kept
    return CompileChoice(saved.about["compile"], {}, "as it began") if saved else None


def compile_program(
    choice: CompileChoice | None,
    experiment: Experiment,
    device: str,
    build: Callable[[Compiled], P],
    ask: Callable[[P, int], Any],
    together: int = 1,
) -> tuple[CompileChoice, P]:
    """The program of a choice, or where there is none, of the faster way by measuring.

    What is measured goes into the cache; a choice of one thread that nobody has measured is
    measured, too.
    """
    if choice is None:
        choice, program = measure(build, ask, device)
        seal_programs()
        return cache_choice(experiment, device, choice, together), program
    program = build(choice.compile)
    ask(program, 0)  # compiles, so that the first updates are as fast as the rest
    seal_programs()
    if choice.threads and not choice.rate:
        choice = choice.timed(rate(program, ask))
        cache_choice(experiment, device, choice, together)
    return choice, program


def _kept(folder: Folder) -> CompileChoice | None:
    """The choice of an earlier process on this folder."""
    try:
        choice: CompileChoice = TypeAdapter(CompileChoice).validate_json(
            read_plain(folder.compile_choice, LARGEST, follow_links=False)
        )
    except FileNotFoundError:
        return None
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise CheckpointMismatchError(f"{folder.compile_choice.name} is spoilt: {what}") from None
    except OSError as error:
        why = f"{folder.compile_choice.name} can't be read: {error.strerror}"
        raise CheckpointMismatchError(why) from None
    return choice
