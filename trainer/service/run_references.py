"""Runs that a request's overrides name by their ids, so that no path comes from a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..sweeps.jobs import quoted

PLACES = {"rerun": ".", "run.replay": "events.jsonl", "init_from": "."}
"""What of a run's folder the overrides lead to whose value may be the id of a run."""
_REFERENCE = re.compile(rf"(\+{{0,2}}(?:{'|'.join(map(re.escape, PLACES))}))=([0-9a-f]{{16}})")


def with_folders(overrides: Sequence[str], folder: Callable[[str], Path | None]) -> list[str]:
    """The overrides with what they lead to, in the place of each id that a run has.

    >>> with_folders(["rerun=0123456789abcdef", "run.seed=1"], lambda run: Path("/runs/a b"))
    ["rerun='/runs/a b'", 'run.seed=1']
    """
    found = []
    for override in overrides:
        named = _REFERENCE.fullmatch(override.strip())
        path = folder(named[2]) if named else None
        if named and path:
            place = path / PLACES[named[1].lstrip("+")]
            override = f"{named[1]}={quoted(str(place))}"
        found.append(override)
    return found
