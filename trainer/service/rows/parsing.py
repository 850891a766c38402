"""Lines of `metrics.jsonl` as columns of numbers."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runs.metrics_file import metric_rows

UPDATES, EVALUATIONS = "updates", "evaluations"
KINDS = (UPDATES, EVALUATIONS)
"""The two sorts of rows: those of updates have a loss."""
LEFT_OUT = ("step", "epoch")
NOT_FINITE = np.inf
"""What stands for a number that was not finite, of which the file has null; NaN stands for none."""
MANY_BYTES = 2**17
"""From how many bytes on Arrow is worth its import."""
AHEAD_SECONDS = 1.0
"""How long after a page was opened Arrow is imported: its own first requests go before."""
MAX_STEP = 2**63 - 1
MAX_WHOLE = 2**1023
"""The whole numbers that a float can hold are below it."""


@dataclass(frozen=True)
class Block:
    """Some rows of one sort: their steps, and a value at each for every name."""

    steps: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]


@cache
def import_ahead() -> None:
    """Has a thread import Arrow, for 0.2 s of which the first chart of a long run would wait.

    A server that nobody looks at does without, and without its 26 MB.
    """
    timer = threading.Timer(AHEAD_SECONDS, import_module, ("pyarrow.json",))
    timer.daemon = True
    timer.start()


def parsed(lines: bytes, many_bytes: int = MANY_BYTES) -> dict[str, Block]:
    """The rows in whole lines, by their sort; lines that are no rows are left out.

    From `many_bytes` on Arrow parses them.
    """
    split: dict[str, list[bytes]] = {kind: [] for kind in KINDS}
    for line in lines.splitlines():
        split[EVALUATIONS if b'"eval_' in line else UPDATES].append(line)
    updates = split[UPDATES]
    if len(lines) >= many_bytes and (block := _by_arrow(updates)):
        return {UPDATES: block, EVALUATIONS: _by_json(split[EVALUATIONS])}
    return {kind: _by_json(some) for kind, some in split.items()}


def _by_json(lines: Sequence[bytes]) -> Block:
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")
        if not all(type(row) is dict and _is_step(row.get("step")) for row in rows):
            raise ValueError
    except (ValueError, RecursionError):
        rows = list(metric_rows(b"\n".join(lines)))
    return _block(rows)


def _block(rows: Sequence[Mapping[str, Any]]) -> Block:
    names = dict.fromkeys(name for row in rows for name in row if name not in LEFT_OUT)
    columns = {name: np.array([_number(row.get(name, np.nan)) for row in rows]) for name in names}
    kept = {name: column for name, column in columns.items() if not np.isnan(column).all()}
    return Block(np.array([row["step"] for row in rows], np.int64), kept)


def _number(value: Any) -> float:
    """A number as columns have it; NaN for what is none."""
    if value is None:
        return NOT_FINITE
    if type(value) is float or (type(value) is int and abs(value) < MAX_WHOLE):
        return NOT_FINITE if value in (NOT_FINITE, -NOT_FINITE) else float(value)
    return np.nan


def _is_step(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_STEP


def _by_arrow(lines: Iterable[bytes]) -> Block | None:
    """The same by Arrow, which is faster; None where a row is not like the others."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    content = b"\n".join(lines)
    options = arrow_json.ReadOptions(use_threads=False, block_size=len(content) + 1)
    try:
        table = arrow_json.read_json(io.BytesIO(content), read_options=options)
    except (pa.ArrowInvalid, ValueError):
        return None
    columns = {}
    for name in table.column_names:
        column = table[name]
        is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if column.null_count or not is_number:  # a null may be a number, or none at all
            return None
        columns[name] = column.to_numpy()
    steps = columns.get("step")
    if steps is None or steps.dtype != np.int64 or (steps < 0).any():
        return None
    values = {name: column.astype(np.float64) for name, column in columns.items()
              if name not in LEFT_OUT}  # fmt: skip
    for column in values.values():
        column[np.isinf(column)] = NOT_FINITE
    return Block(np.array(steps), values)
