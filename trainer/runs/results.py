"""Runs as read from their folders, and the values by which they differ."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from .folder import Folder
from .identity import flat
from .run_folders import run_folders

SEED = "run.seed"
MAX_UPDATES = 200
"""The most updates of a run that are read; all evaluations are."""
NOT_MEASURED = {"step", "epoch", "updates_per_second"}
"""The columns of a row besides what was measured and applied."""

Points = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Steps, and a value at each."""

# Ten times as fast as the one in Python, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
    """`done`, `stopped`, `interrupted` or `failed`; `running`, `waiting` or `unfinished`."""

    @classmethod
    def read(cls, path: Path) -> Run:
        """Reads a folder that a run may be writing to."""
        folder = Folder(path)
        config = _read_config(folder.config)
        updates, evaluations = _read_metrics(path / "metrics.jsonl")
        return cls(
            path,
            config,
            folder.read_result() or {},
            updates,
            evaluations,
            _status(folder, updates),
        )

    @property
    def seed(self) -> Any:
        return self.config.get(SEED)

    @property
    def reason(self) -> str:
        """Why the run failed; "" if it did not."""
        return str(self.result.get("reason", "")) if self.status == "failed" else ""

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
        """The last value of a metric in each run that has not failed."""
        values = (run.measured.get(name) for run in self.runs if run.status != "failed")
        return np.array([value for value in values if value is not None])


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """The runs in these folders and below them; `run_folders` tells them from copies."""
    return [Run.read(path) for path in run_folders(folders)]


def varied_paths(runs: Sequence[Run]) -> list[str]:
    """The override paths whose values differ among runs with the same kinds on the way to them.

    For example, runs of two schedules differ in `schedule.kind`. But `schedule.decay_rate`, which
    only some kinds have, varies only if it differs among runs of one kind.
    """
    configs = [run.config for run in runs if run.config]
    paths = {path: None for config in configs for path in config}

    def kinds(config: Mapping[str, Any], path: str) -> tuple[Any, ...]:
        parts = path.split(".")[:-1]
        above = (".".join([*parts[:n], "kind"]) for n in range(1, len(parts) + 1))
        return tuple(config.get(kind) for kind in above if kind != path)

    def differs(path: str) -> bool:
        values: dict[Any, set[str]] = {}
        for config in configs:
            values.setdefault(kinds(config, path), set()).add(repr(config.get(path)))
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


def _read_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    return flat(yaml.load(path.read_bytes(), _Loader))


def _read_metrics(path: Path) -> tuple[dict[str, Points], dict[str, Points]]:
    """The series of some updates, evenly chosen, and those of all evaluations."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    if lines and not lines[-1].endswith(b"\n"):  # still being written
        lines.pop()
    evaluated = [line for line in lines if b'"eval_' in line]
    trained = [line for line in lines if b'"eval_' not in line]
    stride = ceil(len(trained) / MAX_UPDATES) or 1
    sample = [*trained[:-1:stride], *trained[-1:]]
    return _series(_rows(sample)), _series(_rows(evaluated))


def _rows(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(b"[" + b",".join(lines) + b"]")
    return rows


def _series(rows: Iterable[Mapping[str, Any]]) -> dict[str, Points]:
    columns: dict[str, tuple[list[int], list[float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in NOT_MEASURED and isinstance(value, (int, float)):
                steps, values = columns.setdefault(name, ([], []))
                steps.append(row["step"])
                values.append(value)
    return {
        name: (np.array(steps, np.int64), np.array(values, np.float64))
        for name, (steps, values) in columns.items()
    }


def _status(folder: Folder, updates: Mapping[str, Points]) -> str:
    lock, result = folder.path / ".lock", folder.result
    no_newer_result = not result.exists() or (
        lock.exists() and result.stat().st_mtime_ns < lock.stat().st_mtime_ns
    )
    if no_newer_result and lock.exists() and _owner_lives(lock):
        return "running"
    content = folder.read_result()
    if content:
        return str(content["status"])
    return "unfinished" if updates else "waiting"


def _owner_lives(lock: Path) -> bool:
    """Whether the process named in a lock lives; one on another host is taken to live."""
    match = re.match(r"process (\d+) on (.+)", lock.read_text(encoding="utf-8"))
    if not match or match[2] != socket.gethostname():
        return match is not None
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
