"""What came of a sweep, for the program that asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from io import StringIO
from math import isnan
from pathlib import Path
from typing import Any, Literal, Self, overload

from hydra.core.override_parser.overrides_parser import OverridesParser
from rich.console import Console
from rich.table import Table

from schedules.declaration import ABSENT, Refused, did_you_mean, refuse

from ..commands.api import saved
from ..commands.outcome import Outcome
from ..config.experiment import Experiment
from ..metrics.direction import direction, likely_direction
from ..runs.folder import Folder, display_path
from ..runs.html_table import body_row, measured_cell, table_html, value_cell
from ..runs.results import format_value
from .axes import path_of
from .grid import typed_overrides
from .jobs import SweepJob

SHOWN = 20
"""The most rows that are shown of a sweep; `rows()` has all."""
WIDEST = 60
"""The most characters of a cell that are shown in text."""


@dataclass(frozen=True)
class JobOutcome(Outcome):
    """How one job of a sweep ended, and which one it was."""

    name: str
    """Its folder within that of the sweep."""
    overrides: Mapping[str, Any]
    """Every override of the job by its path, as numbers, words, lists and mappings."""

    @classmethod
    def of(cls, job: SweepJob, experiment: Callable[[SweepJob], Experiment]) -> Self:
        """Reads the job's folder; `experiment` gives that of a job when it is asked for."""
        result = job.result() or {"status": "failed", "reason": job.failure}
        return cls(
            job.path,
            result["status"],
            result.get("steps", 0),
            result.get("metrics", {}),
            result.get("reason", ""),
            result,
            lambda: saved(experiment(job), Folder(job.path)),
            lambda: experiment(job),
            job.name or job.path.name,
            _values_by_path(job.overrides),
        )

    def row(self, paths: Iterable[str], metrics: Iterable[str]) -> dict[str, Any]:
        """Its line of a table; None stands where it has none of a value."""
        return {
            "run": self.name,
            **{path: self.overrides.get(path) for path in paths},
            "status": self.status,
            "steps": self.steps,
            **{name: self.metrics.get(name) for name in metrics},
            "seconds": self.result.get("seconds"),
            "reason": self.reason,
        }


class Results(Sequence[JobOutcome]):
    """The outcomes of a sweep's jobs, in the order of the sweep; a notebook shows them as a table.

    The folder may hold jobs of earlier calls besides: `report` tells of all.
    """

    def __init__(self, folder: Path, outcomes: Iterable[JobOutcome]) -> None:
        self.folder = folder
        """Where all of it is: the folders of the jobs, `sweep.csv` and `report.html`."""
        self._outcomes = tuple(outcomes)

    @property
    def report(self) -> Path:
        """The page that compares all runs of the folder."""
        return self.folder / "report.html"

    @property
    def failed(self) -> Results:
        """The outcomes of the jobs that failed, each with its `reason`."""
        return Results(self.folder, (one for one in self if one.status == "failed"))

    def rows(self) -> list[dict[str, Any]]:
        """A mapping for each job: what it varies, how it ended, and its last evaluation.

        All have the same keys, as `pandas.DataFrame(results.rows())` has columns. Those of what
        varies are override paths. None stands where a job has no such value.
        """
        return [outcome.row(self._varied, self._metrics) for outcome in self]

    def best(
        self, metric: str = "eval_loss", *, mode: Literal["min", "max"] | None = None
    ) -> JobOutcome:
        """The outcome with the best value of a metric's last evaluation; the first of equal ones.

        Which way is better is the metric's own, as `evaluate.stop` has it, or else what its name
        tells; `mode` says it for others. Jobs that failed, and NaN, are left out.

        Raises:
            Refused: when no job measured it, or it is not known which way is better.
        """
        if mode not in ("min", "max", None):
            raise refuse("mode", mode, "must be min or max", "mode='min'")
        values = {
            i: outcome.metrics[metric]
            for i, outcome in enumerate(self)
            if outcome.status != "failed" and not isnan(outcome.metrics.get(metric, float("nan")))
        }
        if not values:
            hint = did_you_mean(metric, self._metrics) if self._metrics else "results.failed"
            raise refuse("metric", metric, "was measured by no job that did not fail", hint)
        mode = mode or self._direction(metric)
        return self[(min if mode == "min" else max)(values, key=values.__getitem__)]

    def _direction(self, metric: str) -> Literal["min", "max"]:
        for outcome in self:
            with_kinds: Any = _metrics_declared(outcome.folder)
            if known := direction(metric, with_kinds):
                return known
        if likely := likely_direction(metric):
            return likely
        rule = "is a metric of which it is not known which way is better"
        raise refuse("metric", metric, rule, "mode='min', or mode='max'")

    @cached_property
    def _varied(self) -> list[str]:
        """The paths of the overrides in which the jobs differ; of a single job, of all."""
        paths = dict.fromkeys(path for outcome in self for path in outcome.overrides)
        if len(self) == 1:
            return list(paths)
        return [path for path in paths if not self._is_shared(path)]

    def _is_shared(self, path: str) -> bool:
        first, *others = [outcome.overrides.get(path, ABSENT) for outcome in self]
        return all(value == first for value in others)

    @cached_property
    def _metrics(self) -> list[str]:
        return list(dict.fromkeys(name for outcome in self for name in outcome.metrics))

    @overload
    def __getitem__(self, index: int) -> JobOutcome: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> JobOutcome | Results:
        if isinstance(index, slice):
            return Results(self.folder, self._outcomes[index])
        return self._outcomes[index]

    def __len__(self) -> int:
        return len(self._outcomes)

    def __repr__(self) -> str:
        table = Table(*self._columns(), box=None, pad_edge=False)
        for row in self.rows()[:SHOWN]:
            table.add_row(*(_text(row[name], name in self._metrics) for name in self._columns()))
        text = StringIO()
        Console(file=text, width=1000, color_system=None).print(table)
        lines = [line.rstrip() for line in text.getvalue().splitlines()]
        return "\n".join([self._summary(), *lines])

    def _repr_html_(self) -> str:
        """The table as a notebook shows it."""
        columns = self._columns()
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
        rows = (
            body_row(
                measured_cell(row[name]) if name in self._metrics else value_cell(row[name])
                for name in columns
            )
            for row in self.rows()[:SHOWN]
        )
        table = table_html(f"<tr>{head}</tr>", rows)
        return f"<p>{escape(self._summary())}</p><table>{table}</table>"

    def _columns(self) -> list[str]:
        """The columns that are shown: reasons where there are some."""
        names = self[0].row(self._varied, self._metrics) if self else {}
        return [name for name in names if name != "reason" or any(one.reason for one in self)]

    def _summary(self) -> str:
        jobs = f"{len(self):,} jobs" if len(self) != 1 else "1 job"
        shown = f", of which {SHOWN} are shown" if len(self) > SHOWN else ""
        return f"{jobs} in {display_path(self.folder)}{shown}"


def _values_by_path(overrides: Sequence[str]) -> dict[str, Any]:
    """The values of a job's overrides, by their paths.

    >>> _values_by_path(["schedule=rex", "++run.seed=1", "++optimizer.momentum=null",
    ...                  "++optimizer.momentum={kind: constant, value: 0.9}"])
    {'schedule': 'rex', 'run.seed': 1, 'optimizer.momentum': {'kind': 'constant', 'value': 0.9}}
    """
    parsed = OverridesParser.create().parse_overrides(list(typed_overrides(overrides)))
    return {path_of(one): one.value() for one in parsed if not one.is_delete()}


def _metrics_declared(folder: Path) -> Mapping[str, Any]:
    """What the config of a run has under `metrics`; nothing where it can't be read."""
    try:
        declared = Folder(folder).read_config().get("metrics")
    except Refused:
        return {}
    return declared if isinstance(declared, Mapping) else {}


def _text(value: Any, is_measured: bool) -> str:
    """A cell of the table in text, on one line."""
    if value is None:
        return "–"
    text = f"{value:.4g}" if is_measured else format_value(value)
    line = text.partition("\n")[0]
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
