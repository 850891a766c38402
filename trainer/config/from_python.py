"""Configs from a program: overrides, mappings and files on top of the command line's defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose as hydra_compose
from omegaconf import DictConfig, OmegaConf

from schedules.declaration import refuse, yaml_files

from ..runs.redaction import KeyPath, secret_placeholders
from .composition import Source
from .conf_folder import CONF
from .hydra import normalize_overrides, our_groups, refusing_hydra_errors, to_plain
from .rerun import copy_value, rerun_config
from .secret_values import know_secrets_of

ESSENTIAL = ("schedule", "optimizer", "model", "data", "device")
"""A mapping with all of these, each with its kind, is taken without defaults."""

Compose = Callable[[Sequence[str], Sequence[str], str | PathLike[str] | None], dict[str, Any]]
"""Composes options and overrides, with a folder of more options."""


def composed_tree(
    options: Sequence[str], overrides: Sequence[str], config_dir: str | PathLike[str] | None
) -> dict[str, Any]:
    """What Hydra composes of options and overrides, with interpolations as they are written.

    Raises:
        Refused, HydraException, OmegaConfBaseException: when it can't.
    """
    search_path = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    with our_groups():
        normalized = list(normalize_overrides([*options, *overrides, *search_path]))
        config = hydra_compose("config", overrides=normalized)
    tree: Any = OmegaConf.to_container(rerun_config(config, overrides), resolve=False)
    return dict(tree)


def compose_values(
    sources: Sequence[Source],
    config_dir: str | PathLike[str] | None = None,
    compose: Compose = composed_tree,
) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """The plain values of an experiment, and the placeholders of its secrets.

    `compose` does what `composed_tree` does. The last mapping that has a value counts, and an
    override counts before any mapping, as the command line does before a file.

    Raises:
        Refused: as the command line would.
    """
    overrides = [source for source in sources if isinstance(source, str)]
    options, values = _merge_mappings(source for source in sources if isinstance(source, Mapping))
    know_secrets_of(overrides)
    with refusing_hydra_errors([*options, *overrides]):
        composed = compose(options, overrides, config_dir)
        merged = _apply_values(composed, values, overrides) if values else composed
        plain = to_plain(DictConfig(merged))
        return plain, secret_placeholders(merged, plain)


def _apply_values(
    composed: dict[str, Any], values: dict[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """The composed config with values of mappings; at the paths of overrides it stays as it is."""
    parts = [values.get(name) for name in ESSENTIAL]
    is_complete = all(isinstance(part, dict) and "kind" in part for part in parts)
    merged = dict(values) if is_complete else _merge(composed, values)
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if key == "experiment" and is_complete:
            rule = "declares another run than the mapping, which says all of one"
            raise refuse(key, value, rule, "leave out one of the two")
        copy_value(composed, merged, key)
    return merged


def from_file(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of groups that the `defaults` of a YAML file choose, and its values.

    Left out are `hydra`, and `allow_code`, which a file can't say: a program can.

    Raises:
        Refused: when the file can't be read, holds no mapping, or has an entry of `defaults` that
            is no option of a group.
    """
    values = yaml_files.read_mapping(Path(path), resolve=False, option="file")
    values.pop("hydra", None)
    values.pop("allow_code", None)
    options: dict[str, Any] = {}
    for entry in values.pop("defaults", ()):
        if entry == "_self_":
            continue
        [(group, option)] = entry.items() if isinstance(entry, dict) else [("", entry)]
        name = group.removeprefix("override ").lstrip("/")
        if not name or "/" in name or "@" in name:
            rule = "must say which option of a group to take"
            raise refuse(str(path), entry, rule, "defaults: [override /schedule: cosine]")
        options[name] = option
    return options, values


def _merge_mappings(mappings: Iterable[Mapping[str, Any]]) -> tuple[list[str], dict[str, Any]]:
    """The mappings' options of groups as overrides, and their other values as one tree."""
    options: dict[str, str] = {}
    tree: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            if not isinstance(key, str):
                raise refuse("config", key, "must be a name, such as 'schedule'")
            if isinstance(value, str) and (CONF / key).is_dir():
                options[key] = value
                tree.pop(key, None)
                continue
            nested: Any = to_yaml_value(key, value)
            for part in reversed(key.split(".")):
                nested = {part: nested}
            tree = _merge(tree, nested)
    return [f"{group}={option}" for group, option in options.items()], tree


def _merge(base: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Merges values into a tree; a mapping that names a `kind` replaces the one that was there."""
    merged = dict(base)
    for key, value in values.items():
        existing = merged.get(key)
        if isinstance(existing, dict) and isinstance(value, dict) and "kind" not in value:
            merged[key] = _merge(existing, value)
        else:
            merged[key] = value
    return merged


def to_yaml_value(path: str, value: Any) -> Any:
    """Converts a value to numbers, words, lists and mappings, as YAML has them."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case range():
            return list(value)
        case np.generic() | np.ndarray():
            return value.tolist()
        case Path():
            return str(value)
        case Mapping():
            return {str(key): to_yaml_value(f"{path}.{key}", inner) for key, inner in value.items()}
        case list() | tuple():
            return [to_yaml_value(f"{path}.{i}", inner) for i, inner in enumerate(value)]
        case _ if hasattr(value, "model_dump"):
            return value.model_dump(mode="json")
    rule = f"is a {type(value).__name__}, which no config can hold"
    raise refuse(path, value, rule, "numbers, words, lists and mappings of them")
