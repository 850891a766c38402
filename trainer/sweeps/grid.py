"""What a sweep tries: every combination of the values that its overrides leave open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import ListConfig

from schedules.declaration import refuse

from ..config.allow_code import is_typed_permission
from ..config.hydra import normalize_overrides


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
    """The overrides that one swept override stands for, each with a single value."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    if not override.is_discrete_sweep():
        rule = "is a range without steps, which needs a search"
        value = str(override.input_line).partition("=")[2]
        hint = "logspace(1e-4,1e-1,7) has seven; hydra/sweeper=optuna searches"
        raise refuse(key.lstrip("+"), value, rule, hint)
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def params_overrides(params: Mapping[str, Any], arguments: Iterable[str]) -> list[str]:
    """The overrides that `hydra.sweeper.params` of an experiment file stands for.

    Paths that the command line `arguments` override are left out.

    >>> params_overrides({"run.seed": [1, 2], "schedule": "cosine,linear"}, ["schedule=rex"])
    ['++run.seed=1,2']

    Raises:
        Refused: when they say what is for the command line: `allow_code`, and Hydra's settings.
    """
    for key, value in params.items():
        if is_typed_permission(name := str(key)) or re.match(r"\W*hydra\W", name):
            rule = "is for the command line, and no value to sweep over"
            raise refuse(f"hydra.sweeper.params.{key}", value, rule, f"type {key}=…, if at all")
    overridden = {argument.partition("=")[0].lstrip("+~") for argument in arguments}
    values = {
        key: ",".join(map(str, value)) if isinstance(value, list | ListConfig) else value
        for key, value in params.items()
        if key not in overridden
    }
    return list(normalize_overrides(f"{key}={value}" for key, value in values.items()))


def distinguishing_overrides(combined: Sequence[Sequence[str]]) -> list[str]:
    """A label for each combination: its overrides without those that all combinations share.

    >>> distinguishing_overrides([("a=1", "b=1"), ("a=1", "b=2")])
    ['b=1', 'b=2']
    """
    common = set(combined[0]).intersection(*combined[1:]) if len(combined) > 1 else set()
    return [" ".join(o.lstrip("+") for o in overrides if o not in common) for overrides in combined]
