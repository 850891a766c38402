"""Which columns of a table are what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..column import (
    LearntColumn,
    NumberColumn,
)


class Layout(NamedTuple):
    """Which columns of a table are what."""

    numbers: Mapping[str, NumberColumn | None]
    """Those that make an array of numbers together, with what is declared of each."""
    learnt: Mapping[str, LearntColumn]
    """Those that are an input each."""
    labels: tuple[str, ...]
    weights: str | None
    series: str | None = None
    """The column that says which series a row belongs to."""
    lists: tuple[str, ...] = ()
    """Those that have a row of numbers in each cell, which are an input each."""

    @property
    def inputs(self) -> list[str]:
        """All columns that make an input."""
        return [*self.numbers, *self.learnt, *self.lists]

    @property
    def texts(self) -> list[str]:
        """The columns that are read as text."""
        labels = [name for name in self.labels if name not in self.numbers]
        others = [name for name in (self.weights, self.series) if name is not None]
        return [*self.learnt, *labels, *others]

    @property
    def may_lack(self) -> list[str]:
        """The columns of numbers in which some may be missing."""
        return [n for n, one in self.numbers.items() if one is not None and one.missing != "refuse"]
