"""Inputs that stay where they are, prepared as they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import Inputs, Key
from .preparation import Preparation

SHARE = 4
"""The part of the available memory that data may take: it is there twice while it is copied."""


class Stored:
    """Inputs on disk, or as they were found, that are prepared when some of them are read.

    It reads like the array `[n, ...]` of float32 that preparing all of them would give.
    """

    def __init__(self, raw: Inputs, preparation: Preparation) -> None:
        self.raw = raw
        self.preparation = preparation
        self.shape = (len(raw), *preparation.shape)
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, key: Key) -> NDArray[np.float32]:
        return self.preparation.apply(self.raw[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)


def fits(values: int) -> bool:
    """Whether so many float32 numbers fit into memory without crowding it."""
    return values * 4 <= available() // SHARE


def available() -> int:
    """The bytes of memory that are free for the asking, on this machine or in this container."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    group = Path("/sys/fs/cgroup")
    limit, used = (
        next(iter(_lines(group / name)), "max") for name in ("memory.max", "memory.current")
    )
    if limit.isdigit() and used.isdigit():
        found.append(max(0, int(limit) - int(used)))
    return min(found)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except OSError:  # another system, or another version of the groups
        return []


def unwrapped(inputs: Any) -> tuple[Inputs, Preparation | None]:
    """The raw inputs and what they are still to go through; None where they went through it."""
    return (inputs.raw, inputs.preparation) if isinstance(inputs, Stored) else (inputs, None)
