"""The settings of a search: the values of `hydra.sweeper`, and the sampler that they name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schedules.declaration import Declaration, Whole, refuse

from ...metrics.direction import direction, likely_direction
from ...runs.study import optuna_object

if TYPE_CHECKING:
    import optuna


SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "cmaes": "CmaEsSampler",
    "grid": "RandomSampler",  # the study enqueues the points, so this sampler draws nothing
}


def _kind_mapping(value: object) -> object:
    """A word as a mapping with that `kind`."""
    return {"kind": value} if isinstance(value, str) else value


def _job_count(value: object) -> object:
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    hint = {"hint": "hydra.sweeper.n_jobs=auto is as many as the launcher runs at once"}
    raise PydanticCustomError("count", "must be a whole number from 1 on, or auto", hint)


KindAndArguments = Annotated[dict[str, Any], BeforeValidator(_kind_mapping)]
"""A word, or a mapping with that word as its `kind` and arguments of Optuna's class."""


class Settings(Declaration):
    """The values of `hydra.sweeper`."""

    n_trials: Annotated[Whole, Field(ge=1)] = 20
    """How many trials the whole search has, however often it is gone on with."""
    n_jobs: Annotated[int | Literal["auto"], BeforeValidator(_job_count)] = "auto"
    """How many are drawn and launched together; `auto`, as many as the launcher runs at once."""
    metric: str = "eval_loss"
    """The metric of a run's last evaluation that the search optimizes."""
    direction: Literal["auto", "minimize", "maximize"] = "auto"
    """Which way is better; `auto` knows losses and metrics by their names."""
    sampler: KindAndArguments = Field(default={"kind": "tpe"})
    """What draws the next trial's values."""
    pruner: KindAndArguments = Field(default={"kind": "median"})
    """What stops a trial whose evaluations are behind those of others."""
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = 1
    """Where the draws begin: the same search draws the same values."""

    def resolved_direction(self) -> Literal["minimize", "maximize"]:
        """The direction, with `auto` resolved by the metric's name.

        Raises:
            Refused: when the metric's name does not tell.
        """
        if self.direction != "auto":
            return self.direction
        if known := direction(self.metric, {}) or likely_direction(self.metric):
            return "minimize" if known == "min" else "maximize"
        rule = "is a metric of which it is not known which way is better"
        hint = "hydra.sweeper.direction=minimize, or maximize"
        raise refuse("hydra.sweeper.metric", self.metric, rule, hint)


def trial_sampler(
    declared: Mapping[str, Any], seed: int, number: int
) -> optuna.samplers.BaseSampler:
    """The sampler that draws the values of trial `number`.

    The draws follow from the seed, the number and the journal alone. A sampler kept from trial to
    trial would also depend on its earlier draws; a new one with the same seed would repeat them.

    Raises:
        Refused: when the kind or an argument is unknown.
    """
    arguments = dict(declared)
    if arguments.get("kind") == "tpe":
        arguments.setdefault("constant_liar", True)  # trials drawn together keep apart
    if arguments.get("kind") == "cmaes":
        if find_spec("cmaes") is None:
            rule, hint = "needs a package that is not installed: cmaes", "pip install cmaes"
            raise refuse("hydra.sweeper.sampler", "cmaes", rule, hint)
        arguments.setdefault("warn_independent_sampling", False)  # choices are drawn at random
    trial_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    sampler: optuna.samplers.BaseSampler = optuna_object(
        "samplers", SAMPLERS, arguments, {"seed": trial_seed}
    )
    return sampler
