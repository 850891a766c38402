"""The config of a run that is to be run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from schedules.declaration import refuse
from schedules.declaration.yaml_files import read_mapping

from ..runs.folder import Folder
from .allow_code import without_granted_permission


def rerun_config(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The composed config, or with `rerun`, the config of the run in that folder.

    In the latter, the values at the paths of `overrides` are those of the composed config. Neither
    says `allow_code` unless an override does: a file can't allow what it names itself.

    Raises:
        Refused: when the folder holds no run, or an override declares another one.
    """
    composed: Any = OmegaConf.to_container(config, resolve=False)
    assert isinstance(composed, dict)
    source = composed.pop("rerun", None)
    if source is None:
        return DictConfig(without_granted_permission(composed, overrides))
    file = Folder(Path(source)).config
    if not Folder(Path(source)).has_config():
        rule = "is not the folder of a run: it has no config.yaml"
        raise refuse("rerun", source, rule, "rerun=outputs/DAY/TIME")
    rerun: Any = read_mapping(file, resolve=False, option="rerun", follow_links=False)
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if key == "experiment":
            rule = "declares another run than the one to run again"
            raise refuse(key, value, rule, "leave out rerun= or experiment=")
        if key != "rerun" and not key.startswith("hydra."):
            copy_value(composed, rerun, key)
    return DictConfig(without_granted_permission(rerun, overrides))


def copy_value(source: Any, target: dict[str, Any], key: str) -> None:
    """Copies the value at an override path, or removes it where the source has none."""
    *path, last = key.split(".")
    for part in path:
        source = source.get(part) if isinstance(source, dict) else None
        if not isinstance(target.get(part), dict):
            target[part] = {}
        target = target[part]
    if isinstance(source, dict) and last in source:
        target[last] = source[last]
    else:
        target.pop(last, None)
