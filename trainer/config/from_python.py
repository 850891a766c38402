"""What a program declares: overrides, mappings and files, on top of the command line's defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose as hydra_compose
from omegaconf import DictConfig, OmegaConf

from schedules.declaration import refuse
from schedules.declaration.yaml_files import read_mapping

from ..runs.redaction import Path as SecretPath
from ..runs.redaction import hidden
from .hydra import CONF, composing, explaining, plain, widened
from .rerun import put, rerun_config

ESSENTIAL = ("schedule", "optimizer", "model", "data", "device")
"""What says all of these, each with its kind, needs no defaults."""

Asked = str | Mapping[str, Any]
"""An override as it is typed, or values by their names."""


def composed(
    asked: Sequence[Asked], config_dir: str | PathLike[str] | None = None
) -> tuple[dict[str, Any], dict[SecretPath, str]]:
    """The values of an experiment as plain ones, and what to write in the place of secrets.

    Of one value the last mapping counts, and an override more than any mapping, as the command
    line does more than a file.

    Raises:
        Refused: as the command line would.
    """
    overrides = [item for item in asked if isinstance(item, str)]
    options, values = _told(item for item in asked if isinstance(item, Mapping))
    searched = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    typed = [*options, *overrides]
    with explaining(typed):
        with composing():
            found = hydra_compose("config", overrides=list(widened([*typed, *searched])))
        declared: Any = OmegaConf.to_container(rerun_config(found, overrides), resolve=False)
        if values:
            typed_over = declared
            parts = [values.get(name) for name in ESSENTIAL]
            whole = all(isinstance(part, dict) and "kind" in part for part in parts)
            declared = dict(values) if whole else _merged(declared, values)
            for override in overrides:
                key, _, value = override.lstrip("+~").partition("=")
                if key == "experiment" and whole:
                    rule = "declares another run than the mapping, which says all of one"
                    raise refuse(key, value, rule, "leave out one of the two")
                put(declared, typed_over, key)
        config = DictConfig(declared)
        return plain(config), hidden(declared)


def from_file(path: str | PathLike[str]) -> dict[str, Any]:
    """The mapping in a YAML file; what is Hydra's own in it is read as values, or left out.

    Raises:
        Refused: when it can't be read, holds no mapping, or has a list of defaults that says
            more than which option of a group to take.
    """
    values = read_mapping(Path(path), resolve=False, option="file")
    values.pop("hydra", None)
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
    return {**options, **{name: values[name] for name in values}}


def _told(mappings: Iterable[Mapping[str, Any]]) -> tuple[list[str], dict[str, Any]]:
    """The options of groups as overrides, and the values as a tree."""
    options: dict[str, str] = {}
    tree: dict[str, Any] = {}
    for told in mappings:
        for key, value in told.items():
            if not isinstance(key, str):
                raise refuse("config", key, "must be a name, such as 'schedule'")
            if isinstance(value, str) and (CONF / key).is_dir():
                options[key] = value
                tree.pop(key, None)
                continue
            nested: Any = _plain(key, value)
            for part in reversed(key.split(".")):
                nested = {part: nested}
            tree = _merged(tree, nested)
    return [f"{group}={option}" for group, option in options.items()], tree


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The two trees in one; where both have a mapping it is merged, unless `above` names a kind."""
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and "kind" not in value:
            merged[key] = _merged(before, value)
        else:
            merged[key] = value
    return merged


def _plain(path: str, value: Any) -> Any:
    """A value as YAML could have said it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.generic() | np.ndarray():
            return value.tolist()
        case Path():
            return str(value)
        case Mapping():
            return {str(key): _plain(f"{path}.{key}", inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(f"{path}.{i}", inner) for i, inner in enumerate(value)]
        case _ if hasattr(value, "model_dump"):
            return value.model_dump(mode="json")
    rule = f"is a {type(value).__name__}, which no config can hold"
    raise refuse(path, value, rule, "numbers, words, lists and mappings of them")
