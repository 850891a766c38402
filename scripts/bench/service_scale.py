"""How much is measured of the service, and how its marks and rows are told."""

from __future__ import annotations

from typing import NamedTuple

from part import Mark
from service_server import Paces


class ServiceScale(NamedTuple):
    """How much is measured."""

    runs: tuple[int, int]
    rows: int
    many_rows: int
    times: int
    viewers: int
    viewed: int
    """How many jobs they look at."""
    seconds: float
    rounds: int
    jobs: int


FULL = ServiceScale((1_000, 10_000), 1_000_000, 10_000_000, 40, 100, 10, 10.0, 7, 10_000)
QUICK = ServiceScale((20, 40), 20_000, 30_000, 3, 4, 2, 1.0, 1, 20)


def mark(what: str, seconds: float | None, at_most_ms: float) -> Mark:
    """A mark in milliseconds."""
    found = None if seconds is None else 1e3 * seconds
    return Mark(what, found, at_most=at_most_ms, form="{:.1f} ms")


def cells(what: str, found: Paces) -> list[str]:
    """A row of the table of all questions."""
    return [what, f"{1e3 * found.median:.1f}", f"{1e3 * found.high:.1f}", f"{found.size / 1e3:.1f}"]
