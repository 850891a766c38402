"""Rows that are few enough to be parsed at once and held in memory."""

from __future__ import annotations

from typing import Any

from .growing_array import MemoryArray
from .parsing import KINDS, parsed
from .table import Growing, Table


def tables_of(lines: bytes) -> dict[str, Table]:
    """The rows in whole lines, by their sort."""

    def make(name: str, dtype: Any, length: int) -> Growing:
        return MemoryArray(dtype)

    tables = {kind: Table(make) for kind in KINDS}
    for kind, block in parsed(lines).items():
        tables[kind].append(block)
    return tables
