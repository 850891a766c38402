"""The config of a run that is to be run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from schedules.declaration import refuse
from schedules.declaration.yaml_files import read_bounded

from ..runs.folder import Folder


def rerun_config(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The composed config, or where it says to `rerun` a run, that run's.

    What `overrides` say is then taken from the composed config, and all else from the run.

    Raises:
        Refused: when the folder holds no run, or an override declares another one.
    """
    composed = OmegaConf.to_container(config, resolve=False)
    assert isinstance(composed, dict)
    source = composed.pop("rerun", None)
    if source is None:
        return DictConfig(composed)
    file = Folder(Path(source)).config
    if not file.is_file():
        rule = "is not the folder of a run: it has no config.yaml"
        raise refuse("rerun", source, rule, "rerun=outputs/DAY/TIME")
    declared: Any = OmegaConf.to_container(OmegaConf.create(read_bounded(file)), resolve=False)
    for override in overrides:
        key, _, given = override.lstrip("+~").partition("=")
        if key == "experiment":
            rule = "declares another run than the one to run again"
            raise refuse(key, given, rule, "leave out rerun= or experiment=")
        if key != "rerun" and not key.startswith("hydra."):
            put(declared, composed, key)
    return DictConfig(declared)


def put(declared: dict[str, Any], composed: Any, key: str) -> None:
    """Makes `declared` hold at a path what `composed` holds there."""
    *path, last = key.split(".")
    for part in path:
        composed = composed.get(part) if isinstance(composed, dict) else None
        if not isinstance(declared.get(part), dict):
            declared[part] = {}
        declared = declared[part]
    if isinstance(composed, dict) and last in composed:
        declared[last] = composed[last]
    else:
        declared.pop(last, None)
