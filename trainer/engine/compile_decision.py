"""How a run's loop is compiled: by what the config says, or what was decided or measured before."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from ..config.experiment import Experiment
from ..runs.checkpoints import CheckpointMismatchError, Saved
from ..runs.folder import Folder
from .compile_cache import remember, remembered
from .compile_choice import CompileChoice, Measurable, measured, rate
from .program import Compiled

P = TypeVar("P", bound=Measurable)


def decided(
    experiment: Experiment,
    folder: Folder,
    saved: Saved | None,
    device: str,
    together: int = 1,
    *,
    alone: bool = False,
) -> CompileChoice | None:
    """The first of these that has an answer; None where nothing has, and it is to be measured.

    1. the config: `run.compile`
    2. the folder: what an earlier process on it settled on, in `chosen.json`
    3. its checkpoint: what the run began with
    4. the user's cache: what a like run on such a machine measured

    `together` networks go through one program; a run that is `alone` in its process may be told to
    take one thread.

    Raises:
        CheckpointMismatchError: when what the folder has can't be read.
    """
    binding = bound(experiment, folder, saved)
    return binding or remembered(experiment, device, together, alone=alone)


def bound(experiment: Experiment, folder: Folder, saved: Saved | None) -> CompileChoice | None:
    """The first three of these answers: those that this very run has to keep.

    Raises:
        CheckpointMismatchError: when what the folder has can't be read.
    """
    if experiment.run.compile != "auto":
        return CompileChoice(experiment.run.compile, {})
    if kept := _kept(folder):
        return kept
    return CompileChoice(saved.about["compile"], {}, "as it began") if saved else None


def compiled(
    choice: CompileChoice | None,
    experiment: Experiment,
    device: str,
    build: Callable[[Compiled], P],
    ask: Callable[[P, int], Any],
    together: int = 1,
) -> tuple[CompileChoice, P]:
    """The program as it was decided, or as measuring decides now, which the cache remembers.

    A choice of one thread that nobody has measured yet is measured, too.
    """
    if choice is None:
        choice, program = measured(build, ask)
        return remember(experiment, device, choice, together), program
    program = build(choice.compile)
    ask(program, 0)  # compiles, so that the first updates are as fast as the rest
    if choice.threads and not choice.rate:
        choice = choice.timed(rate(program, ask))
        remember(experiment, device, choice, together)
    return choice, program


def _kept(folder: Folder) -> CompileChoice | None:
    """What an earlier process on this folder settled on."""
    if not folder.compile_choice.exists():
        return None
    try:
        return CompileChoice(**json.loads(folder.compile_choice.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise CheckpointMismatchError(
            f"{folder.compile_choice.name} can't be read: {error}"
        ) from None
