"""Runs that a request's overrides name by their ids, so that no path comes from a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..sweeps.jobs import quoted

KEYS = ("rerun", "run.replay", "init_from")
"""The overrides whose value leads to a run's folder."""
_REFERENCE = re.compile(rf"(\+{{0,2}}(?:{'|'.join(map(re.escape, KEYS))}))=([0-9a-f]{{16}})")


def with_folders(overrides: Sequence[str], folder: Callable[[str], Path | None]) -> list[str]:
    """The overrides with the folder in the place of each id that a run has.

    >>> with_folders(["rerun=0123456789abcdef", "run.seed=1"], lambda run: Path("/runs/a b"))
    ["rerun='/runs/a b'", 'run.seed=1']
    """
    found = []
    for override in overrides:
        named = _REFERENCE.fullmatch(override.strip())
        path = folder(named[2]) if named else None
        found.append(f"{named[1]}={quoted(str(path))}" if named and path else override)
    return found
