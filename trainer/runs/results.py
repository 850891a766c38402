"""What run folders say: how each run was declared, how it went, and what sets them apart."""

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

SEED = "run.seed"
POINTS = 200
"""How many updates of a run are read; evaluations all are."""
ABOUT_ROWS = {"step", "epoch", "updates_per_second"}
"""What a row tells besides what was measured and applied."""

Points = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Steps, and a value at each."""

# Ten times as fast as the one in Python, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Run:
    """One run folder, as far as its run has come."""

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
        declared = _yaml(folder.config)
        updates, evaluations = _metrics(path / "metrics.jsonl")
        return cls(
            path, declared, folder.ended() or {}, updates, evaluations, _status(folder, updates)
        )

    @property
    def seed(self) -> Any:
        return self.config.get(SEED)

    @property
    def reason(self) -> str:
        """Why it failed."""
        return str(self.result.get("reason", "")) if self.status == "failed" else ""

    @cached_property
    def measured(self) -> dict[str, float]:
        """The last loss and the last of every evaluated metric."""
        series = {"loss": self.updates.get("loss"), **self.evaluations}
        return {name: float(points[1][-1]) for name, points in series.items() if points}

    @cached_property
    def steps(self) -> int:
        """How many updates it has had, as far as was written."""
        written = [int(points[0][-1]) for points in self.evaluations.values()]
        if points := self.updates.get("loss"):
            written.append(int(points[0][-1]) + 1)
        return max([int(self.result.get("steps", 0)), *written])


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but their seed."""

    varied: Mapping[str, Any]
    runs: Sequence[Run] = field(default_factory=list)

    @property
    def label(self) -> str:
        return ", ".join(f"{name} {shown(value)}" for name, value in self.varied.items()) or "all"

    def measured(self, name: str) -> NDArray[np.float64]:
        """What each of its runs that has not failed measured last."""
        found = (run.measured.get(name) for run in self.runs if run.status != "failed")
        return np.array([value for value in found if value is not None])


def found(folders: Iterable[Path]) -> list[Run]:
    """The runs in these folders and below them, in the order of their names."""
    paths = set()
    for folder in folders:
        for above, inner, files in os.walk(folder):
            if {"config.yaml", "result.json"} & set(files):
                paths.add(Path(above))
                inner.clear()  # what a run's folder holds is its own
    return [Run.read(path) for path in sorted(paths, key=_by_number)]


def varied(runs: Sequence[Run]) -> list[str]:
    """The override paths in which runs differ that are alike in every `kind` on the way to them.

    So `schedule.kind` may vary, but `schedule.decay_rate`, which only some kinds have, does so
    only when it varies among runs of one kind.
    """
    declared = [run.config for run in runs if run.config]
    paths = {path: None for config in declared for path in config}

    def kinds(config: Mapping[str, Any], path: str) -> tuple[Any, ...]:
        parts = path.split(".")[:-1]
        above = (".".join([*parts[:n], "kind"]) for n in range(1, len(parts) + 1))
        return tuple(config.get(kind) for kind in above if kind != path)

    def differs(path: str) -> bool:
        values: dict[Any, set[str]] = {}
        for config in declared:
            values.setdefault(kinds(config, path), set()).add(repr(config.get(path)))
        return any(len(different) > 1 for different in values.values())

    return [path for path in paths if differs(path)]


def settings(runs: Sequence[Run]) -> list[Setting]:
    """The runs grouped by all that varies except the seed."""
    names = [path for path in varied(runs) if path != SEED]
    grouped: dict[str, Setting] = {}
    for run in runs:
        if run.config:
            values = {short(name): run.config[name] for name in names if name in run.config}
            grouped.setdefault(repr(values), Setting(values, [])).runs.append(run)  # type: ignore[attr-defined]
    return list(grouped.values())


def short(path: str) -> str:
    """What a column is called: the group, where its kind varies.

    >>> short("schedule.kind"), short("schedule.initial_value")
    ('schedule', 'schedule.initial_value')
    """
    return path.removesuffix(".kind")


def shown(value: Any) -> str:
    """A value in a table.

    >>> shown(0.000316228), shown(None), shown([32, 64])
    ('0.000316228', 'none', '[32, 64]')
    """
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _by_number(path: Path) -> list[Any]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.parts]


def _yaml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    return flat(yaml.load(path.read_bytes(), _Loader))


def _metrics(path: Path) -> tuple[dict[str, Points], dict[str, Points]]:
    """The series of a record: some of the updates, evenly chosen, and all evaluations."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    if lines and not lines[-1].endswith(b"\n"):  # it is being written at this moment
        lines.pop()
    evaluated = [line for line in lines if b'"eval_' in line]
    trained = [line for line in lines if b'"eval_' not in line]
    stride = ceil(len(trained) / POINTS) or 1
    chosen = [*trained[:-1:stride], *trained[-1:]]
    return _series(_rows(chosen)), _series(_rows(evaluated))


def _rows(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(b"[" + b",".join(lines) + b"]")
    return rows


def _series(rows: Iterable[Mapping[str, Any]]) -> dict[str, Points]:
    columns: dict[str, tuple[list[int], list[float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in ABOUT_ROWS and isinstance(value, (int, float)):
                steps, values = columns.setdefault(name, ([], []))
                steps.append(row["step"])
                values.append(value)
    return {
        name: (np.array(steps, np.int64), np.array(values, np.float64))
        for name, (steps, values) in columns.items()
    }


def _status(folder: Folder, updates: Mapping[str, Points]) -> str:
    lock, result = folder.path / ".lock", folder.result
    begun = not result.exists() or (
        lock.exists() and result.stat().st_mtime_ns < lock.stat().st_mtime_ns
    )
    if begun and lock.exists() and _writing(lock):
        return "running"
    ended = folder.ended()
    if ended:
        return str(ended["status"])
    return "unfinished" if updates else "waiting"


def _writing(lock: Path) -> bool:
    """Whether the process that named itself in the lock lives, as far as this host can tell."""
    named = re.match(r"process (\d+) on (.+)", lock.read_text(encoding="utf-8"))
    if not named or named[2] != socket.gethostname():
        return bool(named)
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
