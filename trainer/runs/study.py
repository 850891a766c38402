"""A search on the disk: its settings, its journal, and by which rules Optuna goes on with it."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schedules.declaration import Declaration, Refused, Whole, did_you_mean, refuse

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
"""The file in a search's folder with all that was tried, to which every trial adds its own."""
NAME = "search"

SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "cmaes": "CmaEsSampler",
    "grid": "RandomSampler",  # the points are ours, and leave it nothing to draw
}
PRUNERS = {
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "hyperband": "HyperbandPruner",
    "asha": "SuccessiveHalvingPruner",
    "none": "NopPruner",
}
LOWER = {"loss", "error", "perplexity", "mse", "mae", "entropy", "nll"}
HIGHER = {"accuracy", "auc", "precision", "recall", "f1", "score", "iou", "r2"}
"""Words in the names of metrics that tell which way is better."""


def _chosen(written: object) -> object:
    return {"kind": written} if isinstance(written, str) else written


def _at_once(written: object) -> object:
    if written == "auto" or (type(written) is int and written >= 1):
        return written
    hint = {"hint": "hydra.sweeper.n_jobs=auto is as many as the launcher runs at once"}
    raise PydanticCustomError("count", "must be a whole number from 1 on, or auto", hint)


Chosen = Annotated[dict[str, Any], BeforeValidator(_chosen)]
"""A word, or a mapping with that word as its `kind` and arguments of Optuna's class."""


class Settings(Declaration):
    """What `hydra.sweeper` says of a search."""

    n_trials: Annotated[Whole, Field(ge=1)] = 20
    """How many trials the whole search has, however often it is gone on with."""
    n_jobs: Annotated[int | Literal["auto"], BeforeValidator(_at_once)] = "auto"
    """How many are drawn and launched together; `auto`, as many as the launcher runs at once."""
    metric: str = "eval_loss"
    """What counts of a run's last evaluation."""
    direction: Literal["auto", "minimize", "maximize"] = "auto"
    """Which way is better; `auto` knows losses and accuracies by their names."""
    sampler: Chosen = Field(default={"kind": "tpe"})
    """What draws the next trial's values."""
    pruner: Chosen = Field(default={"kind": "median"})
    """What stops a trial whose evaluations are behind those of others."""
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = 1
    """Where the draws begin: the same search draws the same values."""

    def toward(self) -> Literal["minimize", "maximize"]:
        """Which way is better.

        Raises:
            Refused: when the metric's name does not tell.
        """
        if self.direction != "auto":
            return self.direction
        words = set(re.findall(r"[a-z0-9]+", self.metric.lower()))
        if words & LOWER or any(word.endswith("loss") for word in words):
            return "minimize"
        if words & HIGHER:
            return "maximize"
        rule = "is a metric of which it is not known which way is better"
        hint = "hydra.sweeper.direction=minimize, or maximize"
        raise refuse("hydra.sweeper.metric", self.metric, rule, hint)


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


def sampler(chosen: Mapping[str, Any], seed: int, number: int) -> optuna.samplers.BaseSampler:
    """What draws trial `number`.

    Its draws follow from the seed, the number and what the journal holds. A sampler that lived on
    would draw by what it drew before, and one that began anew the same values again.

    Raises:
        Refused: when the kind or an argument is unknown.
    """
    given = dict(chosen)
    if given.get("kind") == "tpe":
        given.setdefault("constant_liar", True)  # trials drawn together keep apart
    if given.get("kind") == "cmaes":
        if find_spec("cmaes") is None:
            rule, hint = "needs a package that is not installed: cmaes", "pip install cmaes"
            raise refuse("hydra.sweeper.sampler", "cmaes", rule, hint)
        given.setdefault("warn_independent_sampling", False)  # choices are drawn at random
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    made: optuna.samplers.BaseSampler = _made("samplers", SAMPLERS, given, {"seed": own})
    return made


def pruner(chosen: Mapping[str, Any]) -> optuna.pruners.BasePruner:
    """What stops trials early.

    Raises:
        Refused: when the kind or an argument is unknown.
    """
    made: optuna.pruners.BasePruner = _made("pruners", PRUNERS, dict(chosen), {})
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


def _made(
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
