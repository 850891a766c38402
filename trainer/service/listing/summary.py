"""A run in a few numbers, read from its folder without reading all of its rows."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from schedules import Duration, Refused
from schedules.declaration.plain_files import open_plain

from ...metrics.direction import direction
from ...runs.folder import Folder
from ...runs.identity import flat
from ...runs.known_secrets import veil_tree
from ...runs.metrics_file import metric_rows
from ...runs.queue_state import queue_state, submitted
from ...runs.results import run_status
from ...runs.run_folders import INDEX
from ...runs.study import JOURNAL
from ...runs.submission import JOB, SUBMISSION

WHOLE_BYTES = 2**20
"""The most bytes of rows that are read as a whole; of more, the end and some places are read."""
TAIL_BYTES = 2**16
PLACES = 40
"""How many losses make a sparkline."""
PLACE_BYTES = 4096
"""How far behind a place the next whole row is looked for."""
SIGNS = ("config.yaml", "result.json", "metrics.jsonl", ".lock", SUBMISSION, JOB)
"""The files with which a summary changes."""


@dataclass(frozen=True)
class Summary:
    """What a list of runs shows of one."""

    id: str
    name: str
    """The path below the root."""
    group: str
    """The path of the sweep or search that it belongs to, below the root; "" for none."""
    status: str
    """`done`, `stopped`, `pruned`, `interrupted` or `failed`; `running`, `waiting` or `unfinished`;
    `unreadable` where a file is damaged; of what was submitted also `queued`, `held`, `starting`,
    `stopping`, `lost` and `cancelled`."""
    reason: str
    """Why it failed, what can't be read, or why it waits elsewhere though it is started."""
    steps: int
    total_steps: int | None
    """The updates of the whole run; null where they can't be told from its files."""
    seconds_left: float | None
    updates_per_second: float | None
    seed: int | None
    started: float | None
    """When it first wrote, in seconds since 1970."""
    changed: float
    """When its files last changed."""
    metrics: dict[str, dict[str, float | None]]
    """By name the `last` value, and where all were read the `lowest`, the `highest` and the `best`,
    which is null for a metric of which nobody knows whether it shall grow."""
    sparkline: list[float | None]
    """Some losses, from the first to the last."""
    title: str = ""
    """What whoever submitted it calls it."""
    tags: list[str] = field(default_factory=list)

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), allow_nan=False)


def run_id(root: Path, path: Path) -> str:
    """The name of a run in addresses: it tells nothing of the path, and is the same for ever.

    >>> run_id(Path("/runs"), Path("/runs/first"))
    'a7937b64b8caa58f'
    """
    return path_id(path.relative_to(root).as_posix())


def path_id(relative: str) -> str:
    """The id of what is at a path below the root."""
    return sha256(relative.encode(errors="surrogateescape")).hexdigest()[:16]


def display_name(root: Path, path: Path) -> str:
    """A path below the root as a text that any file and page can hold."""
    return os.fsencode(path.relative_to(root).as_posix()).decode(errors="replace")


def signature(path: Path) -> str:
    """What changes with the files that a summary is made of; short, as one is kept of each run."""
    found = []
    for name in SIGNS:
        try:
            status = os.lstat(path / name)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0, 0))
    return sha256(repr(found).encode()).hexdigest()[:24]


def read_summary(root: Path, path: Path) -> tuple[Summary, dict[str, Any]]:
    """The summary of the run in a folder, which may hold anything; and its config, flat."""
    folder, damage = Folder(path), []
    config: dict[str, Any] = {}
    result: dict[str, Any] = {}
    try:
        config = flat(folder.read_config()) if folder.has_config() else {}
    except Refused as refused:
        damage.append(str(refused))
    try:
        result = folder.read_result() or {}
    except Refused as refused:
        damage.append(str(refused))
    rows, places, is_whole, size = _some_rows(path / "metrics.jsonl", damage)
    run = run_id(root, path)
    submission = submitted(root, path, run)
    status = "unreadable" if damage else (
        queue_state(path, submission).state if submission else run_status(folder, result, size > 0)
    )  # fmt: skip
    reason = "\n".join(damage) or (str(result.get("reason", "")) if status == "failed" else "")
    steps = _steps(result, rows)
    total = _total_steps(config, rows)
    speed = next((row["updates_per_second"] for row in reversed(rows)
                  if row.get("updates_per_second")), None)  # fmt: skip
    is_running = status == "running"
    left = (total - steps) / speed if is_running and total and speed and total > steps else None
    seed = config.get("run.seed")
    summary = Summary(
        run,
        display_name(root, path),
        _group(root, path),
        status,
        reason,
        steps,
        total,
        left,
        speed if is_running else None,
        seed if type(seed) is int else None,
        _started(path),
        _changed(path),
        _metrics(rows, is_whole, config),
        _sparkline(places),
        submission.name if submission else "",
        submission.tags if submission else [],
    )
    return summary, veil_tree(config)


def _some_rows(
    path: Path, damage: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool, int]:
    """The last rows of a file, rows at even places of it, whether all were read, and its size."""
    try:
        with open_plain(path, follow_links=False) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= WHOLE_BYTES:
                rows = list(metric_rows(_whole_lines(file.read(size), from_start=True)))
                updates = [row for row in rows if "loss" in row]
                chosen = np.linspace(0, len(updates) - 1, min(PLACES, len(updates))).astype(int)
                return rows, [updates[i] for i in chosen], True, size
            places = list(_at_places(file, size, PLACES))
            file.seek(size - TAIL_BYTES)
            rows = list(metric_rows(_whole_lines(file.read(TAIL_BYTES), from_start=False)))
            last = [row for row in rows if "loss" in row][-1:]
            return rows, places + last, False, size
    except FileNotFoundError:
        return [], [], True, 0
    except OSError as error:
        damage.append(f"{path}: can't be read: {error.strerror}")
        return [], [], True, 0


def _at_places(file: BinaryIO, size: int, count: int) -> Iterable[dict[str, Any]]:
    """The row of an update behind each of some places at equal distances."""
    for place in range(count):
        begin = place * size // count
        file.seek(begin)
        lines = _whole_lines(file.read(PLACE_BYTES), from_start=begin == 0)
        row = next((row for row in metric_rows(lines) if "loss" in row), None)
        if row:
            yield row


def _whole_lines(content: bytes, *, from_start: bool) -> bytes:
    begin = 0 if from_start else content.find(b"\n") + 1
    return content[begin : content.rfind(b"\n") + 1]


def _steps(result: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> int:
    counts = [row["step"] + 1 if "loss" in row else row["step"] for row in rows]
    last: int = max([int(result.get("steps", 0)), *counts[-2:]])
    return last


def _total_steps(config: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> int | None:
    """The updates that `run.length` makes; of epochs, as many as the rows tell of one."""
    try:
        length = Duration.parse(config.get("run.length"))
        number = float(length.amount)
    except (Refused, TypeError, ValueError):
        return None
    if length.unit == "steps":
        return ceil(number)
    size = config.get("data.batch_size")
    if length.unit == "examples" and type(size) is int and size > 0:
        return ceil(number / size)
    placed = [row for row in rows if row.get("epoch") and row.get("step")]
    if length.unit == "epochs" and placed:
        updates: float = number * placed[-1]["step"] / placed[-1]["epoch"]
        return ceil(updates * (1 - 1e-9))
    return None


def _group(root: Path, path: Path) -> str:
    sweep = path.parent
    if sweep != root and not sweep.is_relative_to(root):
        return ""
    if any((sweep / name).is_file() for name in (INDEX, JOURNAL)):
        return display_name(root, sweep)
    return ""


def _started(path: Path) -> float | None:
    """When the config was written, which nothing rewrites while a run goes on."""
    with suppress(OSError):
        return (path / "config.yaml").lstat().st_mtime
    return None


def _changed(path: Path) -> float:
    times = [0.0]
    for name in SIGNS:
        with suppress(OSError):
            times.append((path / name).lstat().st_mtime)
    return max(times)


def _metrics(
    rows: Iterable[Mapping[str, Any]], is_whole: bool, config: Mapping[str, Any]
) -> dict[str, dict[str, float | None]]:
    """The last loss and the last value of every evaluated metric, with the range if all is read."""
    values: dict[str, list[float | None]] = {}
    for row in rows:
        for name, value in row.items():
            if name == "loss" or name.startswith("eval_"):
                values.setdefault(name, []).append(value)
    entries = {path.split(".")[1]: {"kind": kind} for path, kind in config.items()
               if path.startswith("metrics.") and path.endswith(".kind")}  # fmt: skip
    found: dict[str, dict[str, float | None]] = {}
    for name, column in values.items():
        finite = [value for value in column if value is not None and math.isfinite(value)]
        found[name] = {"last": _finite(column[-1])}
        if is_whole and finite:
            lowest, highest = min(finite), max(finite)
            best = {"min": lowest, "max": highest, None: None}[direction(name, entries)]
            found[name] |= {"lowest": lowest, "highest": highest, "best": best}
    return found


def _sparkline(places: Iterable[Mapping[str, Any]]) -> list[float | None]:
    return [None if (loss := _finite(row["loss"])) is None else float(f"{loss:.4g}")
            for row in places]  # fmt: skip


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
