"""Composing configs with Hydra from the `conf` folder, and normalizing command lines for it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType, Sweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from schedules.declaration import ABSENT, Refused, refuse

from .conf_folder import CONF, group_options
from .hydra_assertions import keep_assertions
from .hydra_loader import checked_configs
from .hydra_refusals import is_of_hydra, refusal_of
from .hydra_sources import use_bounded_files
from .override_syntax import option_refusal, unreadable_override
from .rerun import rerun_config
from .secret_values import MAX_BRACKETS, absent_secrets, know_secrets_of
from .sweep_words import write_out_spaces, write_out_zip

VERSION_BASE = "1.3"
FLAGS_WITH_VALUE = {
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn",
    "--config-dir", "-cd", "--experimental-rerun", "--info", "-i",
}  # fmt: skip
"""Hydra's flags that are followed by a value."""

# Hydra's clock has one-second resolution; two runs that start together still get two folders.
OmegaConf.register_new_resolver(
    "unique", lambda: secrets.token_hex(3), use_cache=True, replace=True
)


use_bounded_files()
keep_assertions()


def compose(overrides: Sequence[str] = (), config_dir: str | None = None) -> dict[str, Any]:
    """The plain values that the `overrides` of a command line declare.

    `config_dir` is a folder of the user's own that adds options to any group.

    Raises:
        Refused: when Hydra can't compose them, with the override to change.
    """
    arguments = list(overrides)
    know_secrets_of(overrides)
    if config_dir is not None:
        arguments.append(f"hydra.searchpath=[file://{Path(config_dir).resolve()}]")
    with refusing_hydra_errors(overrides), our_groups():
        config = hydra_compose("config", overrides=list(normalize_overrides(arguments)))
        return to_plain(rerun_config(config, arguments))


@contextmanager
def our_groups() -> Iterator[None]:
    """Lets Hydra compose our groups within the block, even in a program that uses Hydra itself."""
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with checked_configs(), initialize_config_dir(str(CONF), version_base=VERSION_BASE):
            yield
    finally:
        GlobalHydra.instance().hydra = previous


def to_plain(config: DictConfig) -> dict[str, Any]:
    """The composed config with interpolations resolved, as plain mappings and lists.

    Raises:
        Refused: when secrets are not here, naming each.
    """
    if absent := list(absent_secrets(OmegaConf.to_container(config, resolve=False))):
        raise Refused(absent)
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def flags_last(arguments: Sequence[str]) -> list[str]:
    """Moves Hydra's flags in a command line after all overrides.

    With `-m` among them, argparse would report the overrides after it as errors, since it takes a
    list of any length in one place only.

    >>> flags_last(["schedule=cosine,rex", "-m", "--config-dir", "mine", "run.seed=1,2"])
    ['schedule=cosine,rex', 'run.seed=1,2', '-m', '--config-dir', 'mine']
    """
    overrides, flags = [], []
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        following = next(words, None) if word in FLAGS_WITH_VALUE else None
        if following is not None:
            # The value of `--info` is optional.
            is_override = word in ("--info", "-i") and "=" in following
            (overrides if is_override else flags).append(following)
    return overrides + flags


def normalize_overrides(arguments: Iterable[str]) -> Iterator[str]:
    """Rewrites overrides for Hydra, which would refuse some and merge others unlike a user expects.

    Hydra only overrides keys that some file mentions. Here any key may be set, since the models
    check every key and give better hints. And Hydra merges a mapping into the one that was there;
    here a mapping that names its `kind` replaces it.

    >>> list(normalize_overrides(["schedule=cosine", "run.deterministic=false"]))
    ['schedule=cosine', '++run.deterministic=false']
    >>> list(normalize_overrides(["optimizer.momentum={kind: constant, value: 0.9}"]))
    ['++optimizer.momentum=null', '++optimizer.momentum={kind: constant, value: 0.9}']
    >>> list(normalize_overrides(["metrics={auc: {}}"]))
    ['++metrics={auc: {}}']

    Evenly spaced values, which Hydra has no word for, are written out:

    >>> list(normalize_overrides(["schedule.initial_value=logspace(0.001,0.1,3)"]))
    ['++schedule.initial_value=0.001,0.01,0.1']

    And so are values that vary together:

    >>> list(normalize_overrides(["run.seed=zip(1,2)"]))
    ['++run.seed=tag(zip,choice(1,2))']
    """
    group_names = group_options()
    for typed in arguments:
        argument = write_out_zip(write_out_spaces(typed))
        key, _, value = argument.partition("=")
        if argument.count("[") + argument.count("{") > MAX_BRACKETS:
            rule = f"must not have more than {MAX_BRACKETS} lists and mappings"
            raise refuse("override", key, rule, "write it into a file of --config-dir")
        if value.startswith("[") and key in group_names and (refused := option_refusal(argument)):
            raise refused
        if argument.startswith(("-", "+", "~")) or "=" not in argument or _belongs_to_hydra(key):
            yield argument
        elif _names_a_kind(argument):
            yield f"++{key}=null" if "." in key else f"~{key}"
            yield f"++{argument}"
        else:
            yield f"++{argument}" if "." in key or value.startswith("{") else argument


@contextmanager
def refusing_hydra_errors(overrides: Sequence[str]) -> Iterator[None]:
    """Turns what Hydra and OmegaConf raise within the block into a refusal."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise refusal_of(error, overrides) from None
    except RecursionError as error:
        if not is_of_hydra(error):
            raise
        rule, hint = "lead back to themselves", "leave out the entry that names its own file"
        raise refuse("defaults", ABSENT, rule, hint) from None
    except ValueError as error:
        if not str(error).startswith("Config group override"):
            raise
        refusals = filter(None, map(option_refusal, overrides))
        unnamed = next((part for part in overrides if part.startswith("=")), "")
        raise next(refusals, unreadable_override(unnamed, str(error))) from None


def _belongs_to_hydra(key: str) -> bool:
    """Whether a key names a setting of Hydra, or a group by its path or package."""
    return key.startswith("hydra.") or "/" in key or "@" in key


def _names_a_kind(argument: str) -> bool:
    if "kind" not in argument:
        return False
    override: Override = OverridesParser.create().parse_overrides([argument])[0]
    values: list[Any]
    match override.value():
        case ChoiceSweep():
            values = list(override.sweep_iterator())
        case Sweep():  # numbers, and maybe very many
            return False
        case value:
            values = [value]
    return override.type == OverrideType.CHANGE and all(
        isinstance(value, dict) and "kind" in value for value in values
    )
