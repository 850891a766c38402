"""What hydra.sweeper says of a search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schedules.declaration import Declaration, Whole, refuse

from ...runs.study import optuna_object

if TYPE_CHECKING:
    import optuna


SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "cmaes": "CmaEsSampler",
    "grid": "RandomSampler",  # the points are ours, and leave it nothing to draw
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
    made: optuna.samplers.BaseSampler = optuna_object("samplers", SAMPLERS, given, {"seed": own})
    return made
