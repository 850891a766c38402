"""The settings in which runs differ, beside what came of them; seeds of one setting together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...runs.results import SEED, Run, Setting, group_by_setting, loss_order, varied_paths
from ..json_values import jsonable

MOST_COLUMNS = 60
"""The most values of configs that are compared; the others are counted."""


class Listed(NamedTuple):
    """A run as the index has it."""

    path: Path
    summary: Mapping[str, Any]
    config: Mapping[str, Any]

    def as_run(self) -> Run:
        """The run with its last values alone, by which a report tells settings apart."""
        steps = np.array([self.summary["steps"]])
        last = {
            name: (steps, np.array([math.nan if found["last"] is None else found["last"]]))
            for name, found in self.summary["metrics"].items()
        }
        updates = {name: last.pop(name) for name in ("loss",) if name in last}
        return Run(self.path, self.config, {}, updates, last, self.summary["status"])


def settings_of(listed: Sequence[Listed]) -> list[Setting]:
    """The settings, the one with the lowest loss first."""
    return sorted(group_by_setting([one.as_run() for one in listed]), key=loss_order)


def comparison(listed: Sequence[Listed]) -> dict[str, Any]:
    """`columns` that differ, `runs` with their values, and `settings` with means over seeds."""
    runs = [one.as_run() for one in listed]
    columns = [path for path in varied_paths(runs) if path != SEED]
    shown = columns[:MOST_COLUMNS]
    settings = settings_of(listed)
    places = {run.path: place for place, setting in enumerate(settings) for run in setting.runs}
    names = list(dict.fromkeys(name for run in runs for name in run.measured))
    ids = {one.path: one.summary["id"] for one in listed}
    return {
        "columns": shown,
        "columns_left_out": len(columns) - len(shown),
        "metrics": names,
        "runs": [
            {
                **{key: one.summary[key] for key in ("id", "name", "status", "steps", "seed")},
                "setting": places.get(one.path),
                "values": _values(one.config, shown),
                "metrics": {name: _number(value) for name, value in run.measured.items()},
            }
            for one, run in zip(listed, runs, strict=True)
        ],
        "settings": [
            {
                "values": _values(setting.runs[0].config, shown),
                "runs": [ids[run.path] for run in setting.runs],
                "measured": {name: _spread(setting.measured(name)) for name in names},
            }
            for setting in settings
        ],
    }


def _values(config: Mapping[str, Any], columns: Iterable[str]) -> list[Any]:
    return [jsonable(config.get(path)) for path in columns]


def _spread(values: NDArray[np.float64]) -> dict[str, Any]:
    """The mean over runs, the sample's standard deviation, the lowest and the highest."""
    if not len(values):
        return {"runs": 0}
    deviation = _number(values.std(ddof=1)) if len(values) > 1 else None
    return {
        "runs": len(values),
        "mean": _number(values.mean()),
        "deviation": deviation,
        "lowest": _number(values.min()),
        "highest": _number(values.max()),
    }


def _number(value: float | np.float64) -> float | None:
    return float(value) if math.isfinite(value) else None
