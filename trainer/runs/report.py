"""Many runs as one table, sweep.csv, and one page, report.html."""

from __future__ import annotations

import csv
import io
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from schedules.plots.style import STYLE

from .atomic_files import write
from .charts import charts, style
from .results import SEED, Run, Setting, found, settings, short, shown, varied
from .scatter import scatters

REPORT_SECONDS = 10
"""How old a sweep's report may grow while jobs end."""


TEMPLATE = Path(__file__).with_name("report.html")


def refresh(folder: Path, every: float = 0.0) -> Path:
    """Writes the report of a sweep's folder, unless it is younger than `every` seconds."""
    report = folder / "report.html"
    if every and report.exists() and time.time() - report.stat().st_mtime < every:
        return report
    return written(found([folder]), folder)


def written(runs: Sequence[Run], folder: Path) -> Path:
    """Writes `sweep.csv` and `report.html` about `runs` into `folder`; gives the latter's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "sweep.csv", table(runs, folder))
    write(folder / "report.html", page(runs, folder))
    return folder / "report.html"


def table(runs: Sequence[Run], folder: Path) -> str:
    """One CSV row a run: its folder, what varied, how it ended."""
    text = io.StringIO()
    rows = [dict(_row(run, varied(runs), folder)) for run in runs]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def page(runs: Sequence[Run], folder: Path) -> str:
    """One HTML file that needs nothing else, with links to the run folders relative to `folder`."""
    grouped = sorted(settings(runs), key=_by_loss)
    names = [short(path) for path in varied(runs) if path != SEED]
    parts = {
        "title": escape(f"Sweep {folder.resolve().name}"),
        "style": STYLE,
        "summary": escape(_summary(runs, grouped)),
        "failures": "".join(_failures(runs, folder)),
        "settings": "".join(_settings(grouped, names)),
        "charts": "".join(f"<figure>{chart}</figure>" for chart in charts(grouped)),
        "values": _values(runs),
        "runs": "".join(_runs(runs, folder)),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda place: parts[place[1]], template)


def _row(run: Run, paths: Sequence[str], folder: Path) -> Iterator[tuple[str, Any]]:
    yield "run", os.path.relpath(run.path, folder)
    for path in paths:
        yield short(path), shown(run.config[path]) if path in run.config else ""
    yield "status", run.status
    yield "steps", run.steps
    yield from run.measured.items()
    yield "seconds", run.result.get("seconds", "")
    yield "weights_digest", str(run.result.get("weights_digest", ""))[:12]
    yield "reason", run.reason


def _by_loss(setting: Setting) -> tuple[bool, float]:
    """The lowest evaluated loss first, and what has none last."""
    for name in ("eval_loss", "loss"):
        if len(values := setting.measured(name)):
            return False, float(values.mean())
    return True, 0.0


def _summary(runs: Sequence[Run], grouped: Sequence[Setting]) -> str:
    seeds = len({run.seed for run in runs})
    states = Counter(run.status for run in runs)
    counts = _many(len(runs), "run"), _many(len(grouped), "setting"), _many(seeds, "seed")
    told = ", ".join(f"{count} {status}" for status, count in states.most_common())
    return f"{', '.join(counts)} · {told}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _failures(runs: Sequence[Run], folder: Path) -> Iterator[str]:
    failed = [run for run in runs if run.status == "failed"]
    if failed:
        yield '<section id="failures"><h2>Failures</h2><ul>'
        for run in failed:
            yield f"<li>{_link(run, folder)} <pre>{escape(run.reason)}</pre></li>"
        yield "</ul></section>"


def _settings(grouped: Sequence[Setting], names: Sequence[str]) -> Iterator[str]:
    """Rows with the mean over seeds of what was measured last, ± the standard deviation."""
    measured = _measured([run for setting in grouped for run in setting.runs])
    yield _head(["", *names, "runs", *measured])
    for i, setting in enumerate(grouped):
        colour, dash = style(i)
        swatch = (
            '<svg width="28" height="10" viewBox="0 0 28 10"><path class="curve '
            f'line{colour}" stroke-dasharray="{dash}" d="M1,5H27"/></svg>'
        )
        cells = [(swatch, i), *((_told(setting.varied.get(name))) for name in names)]
        cells.append((str(len(setting.runs)), len(setting.runs)))
        for name in measured:
            values = setting.measured(name)
            if not len(values):
                cells.append(("–", ""))
                continue
            spread = (
                f' <span class="muted">± {values.std(ddof=1):.2g}</span>' if len(values) > 1 else ""
            )
            cells.append((f"{values.mean():.4g}{spread}", float(values.mean())))
        yield f'<tr data-setting="{i}">{"".join(_cells(cells))}</tr>'
    yield "</tbody>"


def _values(runs: Sequence[Run]) -> str:
    """What the numbers that vary did to the evaluated loss."""
    figures = "".join(f"<figure>{chart}</figure>" for chart in scatters(runs))
    told = "<p>A point is a run; one that did not end is hollow.</p>"
    return f'<h2>Values</h2>{told}<div id="values">{figures}</div>' if figures else ""


def _runs(runs: Sequence[Run], folder: Path) -> Iterator[str]:
    paths, measured = varied(runs), _measured(runs)
    yield _head(["run", *map(short, paths), "status", "steps", *measured, "seconds"])
    for run in runs:
        cells: list[tuple[str, Any]] = [(_link(run, folder), run.path.name)]
        cells += [_told(run.config.get(path)) for path in paths]
        cells += [(f'<span class="{run.status}">{run.status}</span>', run.status)]
        cells += [(f"{run.steps:,}", run.steps)]
        cells += [
            (f"{run.measured[name]:.4g}", run.measured[name]) if name in run.measured else ("–", "")
            for name in measured
        ]
        cells += [_told(run.result.get("seconds"))]
        yield f"<tr>{''.join(_cells(cells))}</tr>"
    yield "</tbody>"


def _measured(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.measured))


def _told(value: Any) -> tuple[str, Any]:
    return ("–", "") if value is None else (escape(shown(value)), value)


def _head(names: Sequence[str]) -> str:
    cells = (f'<th scope="col"><button>{escape(name)}</button></th>' for name in names)
    return f"<thead><tr>{''.join(cells)}</tr></thead><tbody>"


def _cells(cells: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Table cells: what is shown, and by what it is sorted."""
    for text, value in cells:
        number = ' class="number"' if isinstance(value, (int, float)) else ""
        yield f'<td{number} data-value="{escape(str(value))}">{text}</td>'


def _link(run: Run, folder: Path) -> str:
    path = os.path.relpath(run.path, folder)
    return f'<a href="{escape(path)}/">{escape(path)}</a>'
