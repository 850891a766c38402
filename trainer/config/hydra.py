"""Where configs come from: the `conf` folder, Hydra, and plain mappings out of both."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from schedules.declaration import refuse

from .hydra_errors import explained
from .hydra_sources import bind
from .rerun import rerun_config

HERE = Path(__file__).resolve().parents[1]
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
"""The groups: inside the package where it is installed, beside it in a checkout."""

VERSION_BASE = "1.3"
DEEPEST = 100
"""Lists and mappings in an override: Hydra's parser calls itself for each that is in another."""

TAKING = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn",
          "--config-dir", "-cd", "--experimental-rerun", "--info", "-i"}  # fmt: skip
"""Hydra's flags that are followed by a word of their own."""

SPACED = re.compile(r"\b(logspace|linspace)\(([^()]*)\)")

# Hydra's clock has one-second resolution; two runs that start together still get two folders.
OmegaConf.register_new_resolver(
    "unique", lambda: secrets.token_hex(3), use_cache=True, replace=True
)


bind()


def compose(overrides: Sequence[str] = (), config_dir: str | None = None) -> dict[str, Any]:
    """What the command line `overrides` declare, as plain values.

    `config_dir` is a folder of the user's own that adds options to any group.

    Raises:
        Refused: when Hydra can't compose it, told as an override to change.
    """
    asked = list(overrides)
    if config_dir is not None:
        asked.append(f"hydra.searchpath=[file://{Path(config_dir).resolve()}]")
    with explaining(overrides), composing():
        return plain(rerun_config(hydra_compose("config", overrides=list(widened(asked))), asked))


@contextmanager
def composing() -> Iterator[None]:
    """Makes Hydra compose our groups within the block, even in a program of Hydra's own kind."""
    own = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base=VERSION_BASE):
            yield
    finally:
        GlobalHydra.instance().hydra = own


def plain(config: DictConfig) -> dict[str, Any]:
    """The composed config with every interpolation resolved, and nothing of OmegaConf's left."""
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def in_order(arguments: Sequence[str]) -> list[str]:
    """The same command line with Hydra's flags after all overrides.

    Typed in the middle of them, `-m` is told as an error of what follows it, since argparse takes
    words that may come in any number in one place only.

    >>> in_order(["schedule=cosine,rex", "-m", "--config-dir", "mine", "run.seed=1,2"])
    ['schedule=cosine,rex', 'run.seed=1,2', '-m', '--config-dir', 'mine']
    """
    overrides, flags = [], []
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        following = next(words, None) if word in TAKING else None
        if following is not None:
            without = word in ("--info", "-i") and "=" in following  # these may do without
            (overrides if without else flags).append(following)
    return overrides + flags


def widened(arguments: Iterable[str]) -> Iterator[str]:
    """The same arguments, with overrides that Hydra would refuse or merge as a user means them.

    Hydra only overrides keys that some file mentions, and answers others with advice to add them;
    here the models know every key, so any may be set and a wrong one gets a better answer. And
    Hydra merges a mapping into what was there; one that names its `kind` replaces it instead.

    >>> list(widened(["schedule=cosine", "run.deterministic=false"]))
    ['schedule=cosine', '++run.deterministic=false']
    >>> list(widened(["optimizer.momentum={kind: constant, value: 0.9}"]))
    ['++optimizer.momentum=null', '++optimizer.momentum={kind: constant, value: 0.9}']

    Evenly spaced values, which Hydra has no word for, are written out:

    >>> list(widened(["schedule.initial_value=logspace(0.001,0.1,3)"]))
    ['++schedule.initial_value=0.001,0.01,0.1']
    """
    for argument in map(spaced, arguments):
        key = argument.partition("=")[0]
        if argument.count("[") + argument.count("{") > DEEPEST:
            rule = f"must not have more than {DEEPEST} lists and mappings"
            raise refuse("override", key, rule, "write it into a file of --config-dir")
        if argument.startswith(("-", "+", "~")) or "=" not in argument or _is_hydras(key):
            yield argument
        elif _names_a_kind(argument):
            yield f"++{key}=null" if "." in key else f"~{key}"
            yield f"++{argument}"
        else:
            yield f"++{argument}" if "." in key else argument


def spaced(argument: str) -> str:
    """The argument with `logspace(low,high,n)` and `linspace(low,high,n)` written out as n values.

    Both ends are among them; those between are rounded to six digits.

    >>> spaced("a=logspace(1e-4,1e-1,7)")
    'a=0.0001,0.000316228,0.001,0.00316228,0.01,0.0316228,0.1'
    >>> spaced("a=linspace(0,1,3)")
    'a=0.0,0.5,1.0'

    Raises:
        Refused: when these are not two numbers and a count, or a logarithm has none.
    """

    def values(found: re.Match[str]) -> str:
        space = np.geomspace if found[1] == "logspace" else np.linspace
        hint = f"{found[1]}(0.001,0.1,3)"
        try:
            low, high, many = found[2].split(",")
            between = space(float(low), float(high), int(many))
        except ValueError:
            key, _, value = argument.partition("=")
            raise refuse(key, value, "must have two ends and a count", hint) from None
        return ",".join(repr(float(f"{value:.6g}")) for value in between)

    return SPACED.sub(values, argument)


def groups() -> list[str]:
    """The words that may begin an override."""
    folders = [path.name for path in CONF.iterdir() if path.is_dir()]
    declared = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    return sorted({*folders, *declared} - {"defaults"})


@contextmanager
def explaining(overrides: Sequence[str]) -> Iterator[None]:
    """Turns what Hydra and OmegaConf raise within the block into a refusal."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise explained(error, overrides, groups()) from None
    except ValueError as error:
        if not str(error).startswith("Config group override"):
            raise
        numbers = (part for part in overrides if re.fullmatch(r"\w*=[\d.]+", part))
        group, _, value = next(numbers, "group=").partition("=")
        hint = "an option of a group is a word"
        raise refuse(group or "override", value, "is no option of this group", hint) from None


def _is_hydras(key: str) -> bool:
    """Whether Hydra's own settings, or a group by its path or package, are meant."""
    return key.startswith("hydra.") or "/" in key or "@" in key


def _names_a_kind(argument: str) -> bool:
    if "kind" not in argument:
        return False
    override: Override = OverridesParser.create().parse_override(argument)
    values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    return override.type == OverrideType.CHANGE and all(
        isinstance(value, dict) and "kind" in value for value in values
    )
