"""A search on the disk: its settings, its journal, and by which rules Optuna goes on with it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schedules.declaration import Refused, did_you_mean, refuse

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
"""The file in a search's folder with all that was tried, to which every trial adds its own."""
NAME = "search"

PRUNERS = {
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "hyperband": "HyperbandPruner",
    "asha": "SuccessiveHalvingPruner",
    "none": "NopPruner",
}


def required() -> None:
    """Sees to it that Optuna is there, and says no more than is asked of it.

    Raises:
        Refused: when it is not installed, or too old.
    """
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend  # noqa: F401  # from 4.0 on
    except ImportError:
        rule = "needs a package that is not installed: optuna>=4"
        raise refuse(
            "hydra/sweeper", "optuna", rule, "pip install 'scheduled-training[optuna]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def pruner(chosen: Mapping[str, Any]) -> optuna.pruners.BasePruner:
    """What stops trials early.

    Raises:
        Refused: when the kind or an argument is unknown.
    """
    made: optuna.pruners.BasePruner = optuna_object("pruners", PRUNERS, dict(chosen), {})
    return made


def check_pruner(chosen: Mapping[str, Any]) -> None:
    """Lets a pruner judge trials that are made up.

    Raises:
        Refused: when it can't be, or its arguments only fail at work.
    """
    import optuna

    study = optuna.create_study(pruner=pruner(chosen))
    try:
        for _ in range(3):
            trial = study.ask()
            for count in range(1, 4):
                trial.report(1.0, count)
                trial.should_prune()
            study.tell(trial, 1.0)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        rule = f"can't judge trials: {error}"
        raise refuse("hydra.sweeper.pruner", dict(chosen), rule) from None


def opened(
    journal: Path, direction: str | None = None, pruner: optuna.pruners.BasePruner | None = None
) -> optuna.Study:
    """The study that a journal holds; a new one where a `direction` is given and it holds none."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
    draws = optuna.samplers.RandomSampler()  # replaced by whoever draws
    if direction is None:
        return optuna.load_study(study_name=NAME, storage=storage, sampler=draws, pruner=pruner)
    return optuna.create_study(
        study_name=NAME,
        storage=storage,
        sampler=draws,
        pruner=pruner,
        direction=direction,
        load_if_exists=True,
    )


def mended(journal: Path) -> None:
    """Cuts off a last line that a power cut has torn, which Optuna would stumble over."""
    if journal.exists() and not (content := journal.read_bytes()).endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def optuna_object(
    family: str, kinds: Mapping[str, str], given: dict[str, Any], more: Mapping[str, Any]
) -> Any:
    """An instance of one of Optuna's classes, with the arguments that a mapping gives."""
    import optuna

    path = f"hydra.sweeper.{family.removesuffix('s')}"
    kind = given.pop("kind", None)
    if kind not in kinds:
        raise refuse(path, kind, "is no known kind", did_you_mean(kind, kinds))
    made = getattr(getattr(optuna, family), kinds[kind])
    takes = [name for name in inspect.signature(made).parameters if name not in ("self", *more)]
    for name in given:
        if name not in takes:
            hint = did_you_mean(name, takes)
            raise refuse(f"{path}.{name}", given[name], f"is nothing that {kind} takes", hint)
    try:
        return made(**given, **more)
    except (TypeError, ValueError, Refused) as error:
        raise refuse(path, kind, f"can't be: {error}") from None
