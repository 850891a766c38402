"""The rows of `metrics.jsonl`, one JSON object a line: of an update, or of an evaluation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse
from schedules.declaration.plain_files import open_plain

from .atomic_files import MAX_READ_BYTES, json_objects

MAX_UPDATES = 200
"""The most updates of a run that are read; all evaluations are."""
NOT_MEASURED = {"step", "epoch", "updates_per_second"}
"""The columns of a row besides what was measured and applied."""

Points = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Steps, and a value at each."""


def metric_rows(lines: bytes) -> Iterator[dict[str, Any]]:
    """The rows among some lines: their step, and numbers, or None for one that is not finite."""
    for row in json_objects(lines):
        if _is_step(row.get("step")):
            yield {name: value for name, value in row.items() if _is_number(value)}


def read_lines(path: Path) -> bytes:
    """The whole lines of a file; of a very long one, those in its last `MAX_READ_BYTES`.

    A last line that is spoilt is among them, and one that is still being written is not.

    Raises:
        OSError: when it can't be read, or is a link.
    """
    try:
        with open_plain(path, follow_links=False) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(size - MAX_READ_BYTES, 0)
            file.seek(start)
            content = file.read(size - start)
    except FileNotFoundError:
        return b""
    begin = content.find(b"\n") + 1 if start else 0
    end = content.rfind(b"\n") + 1  # what follows may still be written
    return content[begin : len(content) if b"\0" in content[end:] else end]


def read_series(path: Path) -> tuple[dict[str, Points], dict[str, Points]]:
    """The series of some updates, evenly chosen, and those of all evaluations, by name.

    Raises:
        Refused: when the file can't be read, or holds lines that are no rows.
    """
    try:
        lines = read_lines(path).splitlines(keepends=True)
        evaluated = [line for line in lines if b'"eval_' in line]
        trained = [line for line in lines if b'"eval_' not in line]
        stride = ceil(len(trained) / MAX_UPDATES) or 1
        sample = [*trained[:-1:stride], *trained[-1:]]
        return _series(_rows(sample)), _series(_rows(evaluated))
    except OSError as error:
        why = str(error.strerror)
    except (ValueError, OverflowError):
        why = "a line is no row"
    raise refuse(str(path), ABSENT, f"can't be read: {why}")


def _rows(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """The rows in some lines, parsed at once, which is faster.

    Raises:
        ValueError: when one is none.
    """
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")
    except RecursionError:
        raise ValueError("nests too deep") from None
    if set(map(type, rows)) - {dict}:
        raise ValueError("is no row")
    return list(rows)


def _series(rows: Iterable[Mapping[str, Any]]) -> dict[str, Points]:
    """The columns of some rows.

    Raises:
        ValueError, OverflowError: when one has no step, or a number that no float holds.
    """
    columns: dict[str, tuple[list[int], list[float]]] = {}
    for row in rows:
        step: Any = row.get("step")
        if not _is_step(step):
            raise ValueError("is no row")
        for name, value in row.items():
            if name not in NOT_MEASURED and isinstance(value, (int, float)):
                steps, values = columns.setdefault(name, ([], []))
                steps.append(step)
                values.append(value)
    return {
        name: (np.array(steps, np.int64), np.array(values, np.float64))
        for name, (steps, values) in columns.items()
    }


def _is_step(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float holds, or None."""
    return value is None or type(value) is float or (type(value) is int and abs(value) < 2**63)
