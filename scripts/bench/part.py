"""What one part of the table found: marks that are met or not, and rows."""

from __future__ import annotations

from typing import NamedTuple


class Scale(NamedTuple):
    """How much is measured."""

    rounds: int
    seconds: float
    starts: int
    updates: int
    jobs: int
    """How many jobs are trained side by side."""
    images: int
    files: int
    """How many files a folder has that is looked at."""


FULL = Scale(5, 2.0, 5, 1_000_000, 64, 3072, 100_000)
QUICK = Scale(2, 0.3, 1, 5_000, 2, 130, 40)


class Mark(NamedTuple):
    """One line of the table: what was measured, and what it should be."""

    what: str
    measured: float | None
    at_least: float | None = None
    at_most: float | None = None
    form: str = "{:.2f}x"

    def cells(self) -> list[str]:
        """What, measured, mark, and whether it was met."""
        words = "at least" if self.at_least is not None else "under"
        bound = self.at_least if self.at_least is not None else self.at_most
        mark = f"{words} {self.form.format(bound)}"
        if self.measured is None:
            return [self.what, "not measured", mark, ""]
        met = (
            self.measured >= self.at_least
            if self.at_least is not None
            else self.measured < (self.at_most or 0)
        )
        return [self.what, self.form.format(self.measured), mark, "yes" if met else "**no**"]


class Part(NamedTuple):
    """What one part of the measurements found."""

    marks: list[Mark]
    title: str
    header: list[str]
    rows: list[list[str]]
