"""What a sweep tries: every combination of the values that its overrides leave open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import ListConfig, OmegaConf

from ..config.hydra import normalize_overrides
from ..config.secret_values import with_secrets_in_environment
from .axes import parse_axes, values


def combinations(
    arguments: Sequence[str], loader: ConfigLoader | None = None
) -> list[tuple[str, ...]]:
    """Every combination of the values that overrides leave open; the last one varies fastest.

    >>> combinations(["schedule=cosine,rex", "run.seed=1,2"])[:2]
    [('schedule=cosine', 'run.seed=1'), ('schedule=cosine', 'run.seed=2')]

    Values with the tag `zip` vary together:

    >>> combinations(["a=tag(zip,choice(1,2))", "b=tag(zip,choice(3,4))"])
    [('a=1', 'b=3'), ('a=2', 'b=4')]

    Raises:
        Refused: when a range has no steps, zipped values are not as many, or there are too many
            combinations.
    """
    overrides, axes = parse_axes(arguments, loader)
    places = {id(override): n for n, override in enumerate(overrides)}
    rows = [str(override.input_line) for override in overrides]
    turns = [list(zip(*map(values, axis.overrides), strict=True)) for axis in axes]
    combined = []
    for choices in product(*turns):
        for axis, choice in zip(axes, choices, strict=True):
            for override, value in zip(axis.overrides, choice, strict=True):
                rows[places[id(override)]] = value
        combined.append(tuple(rows))
    return combined


def params_overrides(params: Mapping[str, Any], arguments: Iterable[str]) -> list[str]:
    """The overrides that `hydra.sweeper.params` of an experiment file stands for.

    Paths that the command line `arguments` override are left out.

    >>> params_overrides({"run.seed": [1, 2], "schedule": "cosine,linear"}, ["schedule=rex"])
    ['++run.seed=1,2']
    >>> params_overrides({"run.stop_after": [None, 10], "optimizer": {"kind": "adam"}}, [])
    ['++run.stop_after=null,10', '~optimizer', '++optimizer={kind:adam}']
    """
    overridden = {argument.partition("=")[0].lstrip("+~") for argument in arguments}
    texts = {key: _text(value) for key, value in params.items() if key not in overridden}
    typed = with_secrets_in_environment(f"{key}={text}" for key, text in texts.items())
    return list(normalize_overrides(typed))


def _text(value: Any) -> str:
    """A value of a YAML file as it is typed in an override; a list is several values."""
    if isinstance(value, list | ListConfig):
        return ",".join(inner if isinstance(inner, str) else _element(inner) for inner in value)
    return value if isinstance(value, str) else _element(value)


def _element(value: Any) -> str:
    """A number, a list or a mapping in Hydra's grammar of overrides."""
    plain: Any = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return str(Override._get_value_element_as_str(plain))


def typed_overrides(overrides: Sequence[str]) -> Iterator[str]:
    """The overrides as a user types them; `normalize_overrides` turns these into `overrides` again.

    One that only removes a value (`~key`, `key=null`) is left out if another one sets that key.
    """
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        removes = override.startswith("~") or value == "null"
        if not (removes and any(o.startswith(f"++{key}=") for o in overrides if o != override)):
            yield override.lstrip("+") if override.startswith("++") else override


def distinguishing_overrides(combined: Sequence[Sequence[str]]) -> list[str]:
    """A label for each combination: its overrides without those that all combinations share.

    >>> distinguishing_overrides([("a=1", "b=1"), ("a=1", "b=2")])
    ['b=1', 'b=2']
    """
    common = set(combined[0]).intersection(*combined[1:]) if len(combined) > 1 else set()
    return [" ".join(o.lstrip("+") for o in overrides if o not in common) for overrides in combined]
