"""Many runs as one table, sweep.csv, and one page, report.html."""

from __future__ import annotations

import csv
import io
import os
import time
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from schedules.plots.style import STYLE

from .atomic_files import remove_drafts, write
from .charts import charts, swatch
from .csv_cells import plain_row
from .html_table import Cell, body_row, head_row, mean_cell, measured_cell, table_html, value_cell
from .kept_readings import kept_readings
from .results import (
    BROKEN,
    SEED,
    Run,
    Setting,
    column_name,
    find_runs,
    format_value,
    group_by_setting,
    loss_order,
    varied_paths,
)
from .scatter import scatters

REPORT_SECONDS = 10
"""How old a sweep's report may grow while jobs end."""
TEMPLATE = Path(__file__).with_name("report.html")


def refresh(folder: Path, every: float = 0.0) -> Path:
    """Writes the report of a sweep's folder, unless it is younger than `every` seconds."""
    report = folder / "report.html"
    if every and report.exists() and time.time() - report.stat().st_mtime < every:
        return report
    with kept_readings() as kept:
        runs = find_runs([folder], kept)
    return write_report(runs, folder)


def write_report(runs: Sequence[Run], folder: Path) -> Path:
    """Writes `sweep.csv` and `report.html` about runs into a folder; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder)
    write(folder / "sweep.csv", sweep_csv(runs, folder))
    write(folder / "report.html", report_html(runs, folder))
    return folder / "report.html"


def sweep_csv(runs: Sequence[Run], folder: Path) -> str:
    """A CSV table with one row a run: its folder, the values that vary, how it ended."""
    text = io.StringIO()
    paths = varied_paths(runs)
    rows = [plain_row(_csv_row(run, paths, folder)) for run in runs]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def report_html(runs: Sequence[Run], folder: Path) -> str:
    """One HTML file that needs no other, with links to the run folders relative to `folder`."""
    settings = sorted(group_by_setting(runs), key=loss_order)
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"Sweep {folder.resolve().name}"),
        style=STYLE,
        summary=escape(_summary(runs, settings)),
        failures=_failures_section(runs, folder),
        settings=_settings_table(runs, settings),
        charts="".join(f"<figure>{chart}</figure>" for chart in charts(settings)),
        values=_values_section(runs),
        runs=_runs_table(runs, folder),
    )


def _csv_row(run: Run, paths: Sequence[str], folder: Path) -> dict[str, Any]:
    values = {
        column_name(path): format_value(run.config[path]) if path in run.config else ""
        for path in paths
    }
    place = {"run": os.path.relpath(run.path, folder)}
    return {
        **place,
        **values,
        **place,  # whatever a foreign config calls a value
        "status": run.status,
        "steps": run.steps,
        **run.measured,
        "seconds": run.result.get("seconds", ""),
        "weights_digest": str(run.result.get("weights_digest", ""))[:12],
        "reason": run.reason,
    }


def _summary(runs: Sequence[Run], settings: Sequence[Setting]) -> str:
    """How many runs there are, and how many of each status."""
    seeds = len({repr(run.seed) for run in runs})
    counts = (
        _count(len(runs), "run"),
        _count(len(settings), "setting"),
        _count(seeds, "seed"),
    )
    statuses = Counter(run.status for run in runs).most_common()
    return f"{', '.join(counts)} · {', '.join(f'{count} {status}' for status, count in statuses)}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _failures_section(runs: Sequence[Run], folder: Path) -> str:
    """The reasons of the runs that failed or can't be read; nothing where there are none."""
    items = "".join(
        f"<li>{_link(run, folder)} <pre>{escape(run.reason)}</pre></li>"
        for run in runs
        if run.status in BROKEN
    )
    return f'<section id="failures"><h2>Failures</h2><ul>{items}</ul></section>' if items else ""


def _settings_table(runs: Sequence[Run], settings: Sequence[Setting]) -> str:
    """A row for each setting, with the mean over seeds of what was measured last."""
    names = [column_name(path) for path in varied_paths(runs) if path != SEED]
    measured = _measured_names([run for setting in settings for run in setting.runs])
    rows = []
    for index, setting in enumerate(settings):
        count = len(setting.runs)
        cells = [Cell(swatch(index), index)]
        cells += [value_cell(setting.varied.get(name)) for name in names]
        cells += [Cell(str(count), count)]
        cells += [mean_cell(setting.measured(name)) for name in measured]
        rows.append(body_row(cells, f' data-setting="{index}"'))
    return table_html(head_row(["", *names, "runs", *measured]), rows)


def _values_section(runs: Sequence[Run]) -> str:
    """Charts of the evaluated loss over each number that varies; nothing where none does."""
    figures = "".join(f"<figure>{chart}</figure>" for chart in scatters(runs))
    legend = "<p>A point is a run; one that did not end is hollow.</p>"
    return f'<h2>Values</h2>{legend}<div id="values">{figures}</div>' if figures else ""


def _runs_table(runs: Sequence[Run], folder: Path) -> str:
    """A row for each run, with the values that vary and what was measured last."""
    paths, measured = varied_paths(runs), _measured_names(runs)
    rows = []
    for run in runs:
        cells = [Cell(_link(run, folder), run.path.name)]
        cells += [value_cell(run.config.get(path)) for path in paths]
        cells += [Cell(f'<span class="{run.status}">{run.status}</span>', run.status)]
        cells += [Cell(f"{run.steps:,}", run.steps)]
        cells += [measured_cell(run.measured.get(name)) for name in measured]
        cells += [value_cell(run.result.get("seconds"))]
        rows.append(body_row(cells))
    names = [column_name(path) for path in paths]
    return table_html(head_row(["run", *names, "status", "steps", *measured, "seconds"]), rows)


def _measured_names(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.measured))


def _link(run: Run, folder: Path) -> str:
    path = escape(os.path.relpath(run.path, folder))
    return f'<a href="{path}/">{path}</a>'
