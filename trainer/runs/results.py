"""Runs as read from their folders, and the values by which they differ."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused

from .folder import Folder
from .identity import flat
from .kept_readings import KeptReadings
from .metrics_file import Points, read_series
from .run_folders import run_folders

T = TypeVar("T")

READ_FILES = ("config.yaml", "result.json", "metrics.jsonl")
"""The files of a run's folder that its row and curves are made from."""
SEED = "run.seed"
BROKEN = ("failed", "unreadable")
"""The statuses of runs whose numbers count for nothing."""


@dataclass(frozen=True)
class Run:
    """The content of one run folder, as far as the run has come."""

    path: Path
    config: Mapping[str, Any]
    """Every value by its override path."""
    result: Mapping[str, Any]
    updates: Mapping[str, Points]
    """The loss and every applied value, by name."""
    evaluations: Mapping[str, Points]
    """Every evaluated metric, by name."""
    status: str
    """`done`, `stopped`, `pruned`, `interrupted` or `failed`; `running`, `waiting` or `unfinished`;
    `unreadable` where a file is damaged."""
    reason: str = ""
    """Why the run failed, or which of its files can't be read."""

    @classmethod
    def read(cls, path: Path, kept: KeptReadings | None = None) -> Run:
        """Reads a folder that a run may be writing to; it may hold anything."""
        reading = (kept or KeptReadings()).reading("run", path, READ_FILES)
        damage: list[Refused] = []
        content = _unpacked(reading.value)
        if content is None:
            content, damage = _read(Folder(path))
            if not damage:
                reading.keep(_packed(*content))
        config, result, updates, evaluations = content
        status = "unreadable" if damage else run_status(Folder(path), result, bool(updates))
        failure = result.get("reason", "") if status == "failed" else ""
        reason = "\n".join(str(refused) for refused in damage) or failure
        return cls(path, config, result, updates, evaluations, status, reason)

    @property
    def seed(self) -> Any:
        return self.config.get(SEED)

    @cached_property
    def measured(self) -> dict[str, float]:
        """The last loss, and the last value of every evaluated metric."""
        series = {"loss": self.updates.get("loss"), **self.evaluations}
        return {name: float(points[1][-1]) for name, points in series.items() if points}

    @cached_property
    def steps(self) -> int:
        """The updates made, as far as they are written."""
        counts = [int(points[0][-1]) for points in self.evaluations.values()]
        if points := self.updates.get("loss"):
            counts.append(int(points[0][-1]) + 1)
        return max([int(self.result.get("steps", 0)), *counts])


@dataclass(frozen=True)
class Setting:
    """Runs that differ only in their seed."""

    varied: Mapping[str, Any]
    """The values by which this setting differs from others, by the names of their columns."""
    runs: Sequence[Run] = field(default_factory=list)

    @property
    def label(self) -> str:
        return (
            ", ".join(f"{name} {format_value(value)}" for name, value in self.varied.items())
            or "all"
        )

    def measured(self, name: str) -> NDArray[np.float64]:
        """The last value of a metric in each run that has not failed and can be read."""
        values = (run.measured.get(name) for run in self.runs if run.status not in BROKEN)
        return np.array([value for value in values if value is not None])


def loss_order(setting: Setting) -> tuple[bool, float]:
    """Sorts by the evaluated loss, the lowest first; settings without one, or with NaN, last."""
    for name in ("eval_loss", "loss"):
        if len(values := setting.measured(name)):
            mean = float(values.mean())
            return isnan(mean), 0.0 if isnan(mean) else mean
    return True, 0.0


def run_status(folder: Folder, result: Mapping[str, Any], has_updates: bool) -> str:
    """The status of a run whose files can be read: see `Run.status`."""
    if not folder.has_new_result() and folder.owner():
        return "running"
    if result:
        return str(result["status"])
    return "unfinished" if has_updates else "waiting"


def find_runs(folders: Iterable[Path], kept: KeptReadings | None = None) -> list[Run]:
    """The runs in these folders and below them; `run_folders` tells them from copies.

    Of runs whose files are as they were, what is `kept` suffices.
    """
    kept = kept or KeptReadings()
    return [Run.read(path, kept) for path in run_folders(folders, kept)]


def varied_paths(runs: Sequence[Run]) -> list[str]:
    """The override paths whose values differ among runs with the same kinds on the way to them.

    For example, runs of two schedules differ in `schedule.kind`. But `schedule.decay_rate`, which
    only some kinds have, varies only if it differs among runs of one kind.
    """
    return varied_among([run.config for run in runs if run.config])


def varied_among(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """As `varied_paths`, of flat configs."""
    paths = {path: None for config in configs for path in config}

    def differs(path: str) -> bool:
        texts = [repr(config.get(path)) for config in configs]
        if len(set(texts)) == 1:
            return False
        parts = path.split(".")[:-1]
        above = [".".join([*parts[:n], "kind"]) for n in range(1, len(parts) + 1)]
        kinds = [kind for kind in above if kind != path]
        values: dict[Any, set[str]] = {}
        for config, text in zip(configs, texts, strict=True):
            values.setdefault(tuple(map(config.get, kinds)), set()).add(text)
        return any(len(of_kind) > 1 for of_kind in values.values())

    return [path for path in paths if differs(path)]


def group_by_setting(runs: Sequence[Run]) -> list[Setting]:
    """Groups runs by every value that varies, except the seed."""
    paths = [path for path in varied_paths(runs) if path != SEED]
    grouped: dict[str, Setting] = {}
    for run in runs:
        if run.config:
            values = {column_name(path): run.config[path] for path in paths if path in run.config}
            grouped.setdefault(repr(values), Setting(values, [])).runs.append(run)  # type: ignore[attr-defined]
    return list(grouped.values())


def column_name(path: str) -> str:
    """The name of a table column for an override path; that of a `kind` is the group alone.

    >>> column_name("schedule.kind"), column_name("schedule.initial_value")
    ('schedule', 'schedule.initial_value')
    """
    return path.removesuffix(".kind")


def format_value(value: Any) -> str:
    """A config value as text in a table.

    >>> format_value(0.000316228), format_value(None), format_value([32, 64])
    ('0.000316228', 'none', '[32, 64]')
    """
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


Content = tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Points], Mapping[str, Points]]
"""A run's config, result, updates and evaluations."""


def _read(folder: Folder) -> tuple[Content, list[Refused]]:
    """What a run's files hold, as far as they can be read, and what is wrong with the others."""
    damage: list[Refused] = []

    def readable(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except Refused as refused:
            damage.append(refused)
            return None

    config = readable(lambda: flat(folder.read_config()) if folder.has_config() else {})
    result = readable(folder.read_result)
    series = readable(lambda: read_series(folder.path / "metrics.jsonl"))
    return (config or {}, result or {}, *(series or ({}, {}))), damage


def _packed(
    config: Mapping[str, Any],
    result: Mapping[str, Any],
    updates: Mapping[str, Points],
    evaluations: Mapping[str, Points],
) -> dict[str, Any]:
    """What was read of a run, as JSON has it; arrays are the bytes in memory, in base 64."""

    def series(points: Mapping[str, Points]) -> dict[str, list[str]]:
        return {
            name: [b64encode(part.tobytes()).decode() for part in pair]
            for name, pair in points.items()
        }

    return {
        "config": config,
        "result": result,
        "updates": series(updates),
        "evaluations": series(evaluations),
    }


def _unpacked(value: Mapping[str, Any]) -> Content | None:
    """What `_packed` was made of; None where it is something else."""

    def series(packed: Mapping[str, list[str]]) -> dict[str, Points]:
        return {
            name: (np.frombuffer(b64decode(steps), np.int64), np.frombuffer(b64decode(values)))
            for name, (steps, values) in packed.items()
        }

    try:
        updates, evaluations = series(value["updates"]), series(value["evaluations"])
        return dict(value["config"]), dict(value["result"]), updates, evaluations
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
