"""Running a run again: from the config that it left, compared by the digest of its weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from schedules.declaration import refuse
from schedules.declaration.yaml_files import bounded, mapping

from ..runs.atomic_files import write
from ..runs.folder import Folder, flat, is_free

COMPARED = ("steps", "compile", "together", "device", "replicas", "cores", "data_digest", "git")
"""What else the bits of the weights hang on, besides the config and the versions."""


def meant(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
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
    declared: Any = OmegaConf.to_container(OmegaConf.create(bounded(file)), resolve=False)
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


def prepare(source: Path, folder: Folder) -> None:
    """Lets the run in `folder` begin with what the one in `source` chose by measuring."""
    chosen = Folder(source).chosen
    if chosen.exists() and not folder.chosen.exists():
        shutil.copyfile(chosen, folder.chosen)


def compare(source: Path, folder: Folder) -> str | None:
    """Says whether the run in `folder` is the one in `source`, and writes it to its result.

    Nothing is said of runs that were declared otherwise, or have not both ended.
    """
    first, second = Folder(source), folder
    before, now = first.ended(), second.ended()
    if before is None or now is None or before["status"] != now["status"]:
        return None
    if _bound(first) != _bound(second):
        return None
    same = before["weights_digest"] == now["weights_digest"]
    differences = list(_differences(before, now))
    now["rerun"] = {"of": str(source.resolve()), "same": same, "differences": differences}
    write(folder.result, json.dumps(now, indent=1) + "\n")
    if same:
        return f"the same run as {source}: every bit of the weights is equal"
    told = differences or ["nothing that was recorded; is an operation not deterministic?"]
    return "\n  ".join([f"not the same run as {source}: the weights differ. What differs:", *told])


def _bound(folder: Folder) -> dict[str, Any]:
    """What makes a run the run it is."""
    values = flat(mapping(folder.config))
    return {path: value for path, value in values.items() if not is_free(path)}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Everything recorded on which the bits may hang that is not the same."""
    pairs = {name: (before.get(name), now.get(name)) for name in COMPARED}
    old, new = before.get("versions", {}), now.get("versions", {})
    pairs |= {name: (old.get(name), new.get(name)) for name in {**old, **new}}
    for name, (was, is_now) in pairs.items():
        if was != is_now:
            yield f"{name}: was {was}, is {is_now}"
