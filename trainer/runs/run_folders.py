"""Which folders below a root are runs, and which only hold copies of what runs have written.

Trackers copy `config.yaml` and `result.json` to their artifacts, and people copy whole folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from .folder import Folder
from .study import JOURNAL
from .trial import TRIAL_FILE

INDEX = "sweep.json"
"""The file in a sweep's folder that maps each job, by a hash of its overrides, to its folder."""
WRITTEN_BY_RUNS = ("metrics.jsonl", ".lock")
"""Files beside `config.yaml` that only a run writes: no tracker copies them."""

Identity = tuple[bytes, bytes]
"""A run's config, and its first row that has a measured time: no two runs have the same."""


def run_folders(roots: Iterable[Path]) -> list[Path]:
    """The folders of the runs in these folders and below them, in the order of their names.

    Of a sweep these are the folders of its jobs or trials, whatever else is in its folder.
    Elsewhere it is every folder that a run has written to; of a run and its copies, the one with
    the most rows, or else the one with the shortest path.
    """
    paths = {path for root in roots for path in _below(root)}
    runs: dict[object, Path] = {}
    for path in sorted(paths, key=_progress):
        runs.setdefault(_identity(path) or path, path)
    return sorted(runs.values(), key=_number_order)


def _below(root: Path) -> Iterator[Path]:
    for above, inner, files in os.walk(root):
        folder = Path(above)
        if "config.yaml" in files and set(files).intersection(WRITTEN_BY_RUNS):
            yield folder
            inner.clear()  # a run's folder holds no other runs
        elif INDEX in files or JOURNAL in files:
            yield from filter(_has_begun, _jobs(folder))
            inner.clear()


def _jobs(sweep: Path) -> Iterator[Path]:
    """The folders of a sweep's jobs, or of a search's trials."""
    with suppress(FileNotFoundError, ValueError):
        index = json.loads((sweep / INDEX).read_text(encoding="utf-8"))
        yield from (sweep / name for name in index.values())
    for file in sweep.glob(f"*/{TRIAL_FILE}"):
        with suppress(ValueError):
            if str(json.loads(file.read_text(encoding="utf-8"))["trial"]) == file.parent.name:
                yield file.parent


def _has_begun(path: Path) -> bool:
    """Whether there is something to tell of a job; one that failed early has a result alone."""
    folder = Folder(path)
    return folder.config.exists() or folder.result.exists()


def _identity(path: Path) -> Identity | None:
    """What a run and its copies have in common; None where no row tells yet."""
    with suppress(FileNotFoundError), (path / "metrics.jsonl").open("rb") as rows:
        for row in rows:
            if b'"updates_per_second"' in row and b'"updates_per_second": null' not in row:
                return Folder(path).config.read_bytes(), row
    return None


def _progress(path: Path) -> tuple[int, int, int, Path]:
    """Sorts by the rows that were written, the most first, and then by the path's length."""
    metrics = path / "metrics.jsonl"
    size = metrics.stat().st_size if metrics.exists() else 0
    return -size, len(path.parts), len(str(path)), path


def _number_order(path: Path) -> list[tuple[int, str]]:
    """Sorts paths with numbers in them by the numbers' values."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.parts]
