"""A search on the disk: the journal of its trials, and the Optuna objects that work on it."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schedules.declaration import ABSENT, Refused, did_you_mean, refuse
from schedules.declaration.plain_files import open_plain

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
"""The file in a search's folder to which every trial adds its values and results."""
NAME = "search"

PRUNERS = {
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "hyperband": "HyperbandPruner",
    "asha": "SuccessiveHalvingPruner",
    "none": "NopPruner",
}


def require_optuna() -> None:
    """Refuses if Optuna is missing, and silences its notes and warnings of experimental parts.

    Raises:
        Refused: when Optuna is not installed, or too old.
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


def make_pruner(settings: Mapping[str, Any]) -> optuna.pruners.BasePruner:
    """Makes the Optuna pruner of some settings, which stops trials early.

    Raises:
        Refused: when the kind or an argument is unknown.
    """
    pruner: optuna.pruners.BasePruner = optuna_object("pruners", PRUNERS, dict(settings), {})
    return pruner


def check_pruner(settings: Mapping[str, Any]) -> None:
    """Makes a pruner and lets it judge three invented trials.

    Raises:
        Refused: when the pruner can't be made, or fails with its arguments.
    """
    import optuna

    study = optuna.create_study(pruner=make_pruner(settings))
    try:
        for _ in range(3):
            trial = study.ask()
            for count in range(1, 4):
                trial.report(1.0, count)
                trial.should_prune()
            study.tell(trial, 1.0)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        rule = f"can't judge trials: {error}"
        raise refuse("hydra.sweeper.pruner", dict(settings), rule) from None


def open_study(
    journal: Path, direction: str | None = None, pruner: optuna.pruners.BasePruner | None = None
) -> optuna.Study:
    """The study in a journal; with a `direction`, a new one is made where the journal has none.

    Raises:
        Refused: when the journal can't be read.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    try:
        with suppress(FileNotFoundError):
            open_plain(journal).close()
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
    except Exception as error:  # whatever Optuna meets in a line that it has not written
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise refuse(str(journal), ABSENT, f"can't be read as a journal: {why}") from None
    sampler = optuna.samplers.RandomSampler()  # replaced by whoever draws
    if direction is None:
        return optuna.load_study(study_name=NAME, storage=storage, sampler=sampler, pruner=pruner)
    return optuna.create_study(
        study_name=NAME,
        storage=storage,
        sampler=sampler,
        pruner=pruner,
        direction=direction,
        load_if_exists=True,
    )


def live_trial(study: optuna.Study, record: optuna.trial.FrozenTrial) -> optuna.trial.Trial:
    """The trial of a record: it suggests, reports and prunes, in whatever process.

    No public way: `Study.ask` returns such a trial for a new one only. Going on with an old one
    takes its id in the storage, which the record has as `_trial_id`; its number counts within the
    study instead. Read: Optuna 5.0.0, `trial/_frozen.py` and `trial/_trial.py`.
    """
    import optuna

    return optuna.trial.Trial(study, record._trial_id)


def cut_torn_line(journal: Path) -> None:
    """Cuts off a last line that a power cut has torn, since Optuna can't read it."""
    with suppress(OSError), open_plain(journal) as file:
        content = file.read()
        if not content.endswith(b"\n"):
            os.truncate(journal, content.rfind(b"\n") + 1)


def optuna_object(
    family: str, kinds: Mapping[str, str], settings: dict[str, Any], extra: Mapping[str, Any]
) -> Any:
    """Makes an instance of one of Optuna's classes.

    `settings` has the user's kind and arguments, and `extra` arguments that users can't set.

    Raises:
        Refused: when the kind or an argument is unknown, or Optuna takes a value for wrong.
    """
    import optuna

    path = f"hydra.sweeper.{family.removesuffix('s')}"
    kind = settings.pop("kind", None)
    if kind not in kinds:
        raise refuse(path, kind, "is no known kind", did_you_mean(kind, kinds))
    cls = getattr(getattr(optuna, family), kinds[kind])
    names = [name for name in inspect.signature(cls).parameters if name not in ("self", *extra)]
    for name in settings:
        if name not in names:
            hint = did_you_mean(name, names)
            raise refuse(f"{path}.{name}", settings[name], f"is nothing that {kind} takes", hint)
    try:
        return cls(**settings, **extra)
    except (TypeError, ValueError, Refused) as error:
        raise refuse(path, kind, f"can't be: {error}") from None
