"""Inputs that stay on disk and are prepared as they are read; how much fits into memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .column import Prepared
from .inputs import Inputs, Key

MEMORY_SHARE = 4
"""Data may take 1 / 4 of the free memory, since copying needs room for two copies."""


class Stored:
    """Raw inputs, mostly on disk, that are prepared when some of them are read.

    They read like the array `[n, ...]` that the preparation of all of them returns.
    """

    def __init__(self, raw: Inputs, preparation: Prepared) -> None:
        self.raw = raw
        self.preparation = preparation
        self.shape = (len(raw), *preparation.shape)
        self.dtype = np.dtype(object if preparation.dtype == "string" else preparation.dtype)

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, key: Key) -> NDArray[Any]:
        return self.preparation.apply(self.raw[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)


def fits_in_memory(numbers: int) -> bool:
    """Whether so many float32 numbers take no more than their share of the free memory."""
    return numbers * 4 <= available_memory() // MEMORY_SHARE


def available_memory() -> int:
    """The bytes of free memory of this machine, or of this container where it has a limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            limits.append(int(line.split()[1]) * 1024)
    group = Path("/sys/fs/cgroup")
    limit, used = (
        next(iter(_lines(group / name)), "max") for name in ("memory.max", "memory.current")
    )
    if limit.isdigit() and used.isdigit():
        limits.append(max(0, int(limit) - int(used)))
    return min(limits)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except OSError:  # another system, or another version of control groups
        return []


def raw_inputs(inputs: Any) -> tuple[Inputs, Prepared | None]:
    """The inputs as they are stored, and the preparation that they still need, if any."""
    return (inputs.raw, inputs.preparation) if isinstance(inputs, Stored) else (inputs, None)
