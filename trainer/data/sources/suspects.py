"""Columns of a table that are likely there by mistake, told before a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.analysis.lint import Finding

from ..column import Category, LearntColumn
from .columns import column_override

ROWS_SEEN = 100_000
"""How many rows are looked at, the first ones."""
FEWEST_ROWS = 10
"""Of fewer rows nothing is told: they may well rise, or be all alike, by chance."""
SHOWN = 8
"""How many columns are told of at once."""


@dataclass(frozen=True)
class Suspects:
    """Looks at the first rows of a table, of which there are `rows` in all."""

    rows: int
    numbers: Mapping[str, NDArray[Any]]
    """The inputs that are numbers, each `[n]`."""
    texts: Mapping[str, tuple[LearntColumn, NDArray[Any]]]
    """The inputs that are texts, each `[n]`, with what is declared of them."""
    labels: Mapping[str, NDArray[Any]]
    """The labels that no column may be a copy of, each `[n]`."""
    is_chosen: bool
    """Whether the config names the inputs, and so means an index or an id among them."""

    def findings(self) -> list[Finding]:
        """A warning for each column that is likely no input, with the override that leaves it out.

        At most `SHOWN` are told of; the last one then says how many more there are.
        """
        found = [*self._of_numbers(), *self._of_texts()]
        more = len(found) - SHOWN
        findings = [self._finding(name, text) for name, text in found[:SHOWN]]
        if more > 0:
            names = ", ".join(name for name, _ in found[SHOWN : 2 * SHOWN])
            ellipsis = " …" if more > SHOWN else ""
            text = f"are {more:,} more of such columns: {names}{ellipsis}"
            findings.append(Finding("there", None, "warning", text, "kind: ignore for each"))
        return findings

    def _of_numbers(self) -> Iterator[tuple[str, str]]:
        for name, column in self.numbers.items():
            if len(column) < FEWEST_ROWS:
                continue
            there = column[~np.isnan(column)] if column.dtype.kind == "f" else column
            copied = [
                label
                for label, values in self.labels.items()
                if values.dtype.kind in "biuf" and np.array_equal(column, values)
            ]
            if copied:
                yield name, self._copy(copied[0])
            elif len(there) and there.min() == there.max():
                yield name, self._constant(f"{there[0]:g}")
            elif not self.is_chosen and _rises(column):
                yield name, f"has whole numbers that only rise{self._where}, as an index has"

    def _of_texts(self) -> Iterator[tuple[str, str]]:
        for name, (declared, texts) in self.texts.items():
            if len(texts) < FEWEST_ROWS:
                continue
            different = len(set(texts.tolist()))
            copied = [
                label
                for label, values in self.labels.items()
                if np.array_equal(texts.astype(str), values.astype(str))
            ]
            if copied:
                yield name, self._copy(copied[0])
            elif different == 1:
                yield name, self._constant(f"'{texts[0]}'")
            elif not self.is_chosen and isinstance(declared, Category) and different == len(texts):
                yield name, f"has another text in every row{self._where}, as an id has"

    def _copy(self, label: str) -> str:
        return f"is a copy of the target {label}{self._where}: nothing is left to predict"

    def _constant(self, value: str) -> str:
        return f"has {value} in every row{self._where}, and tells no examples apart"

    @property
    def _where(self) -> str:
        return f" of the first {ROWS_SEEN:,}" if self.rows > ROWS_SEEN else ""

    @staticmethod
    def _finding(name: str, text: str) -> Finding:
        hint = f"{column_override(name, '{kind: ignore}')} leaves it out"
        return Finding(f"the column {name}", None, "warning", text, hint)


def _rises(column: NDArray[Any]) -> bool:
    """Whether all are whole numbers, each above the one before.

    >>> _rises(np.array([3.0, 7.0, 8.0])), _rises(np.array([0.5, 1.5])), _rises(np.array([1, 1]))
    (True, False, False)
    """
    if column.dtype.kind == "b" or not (column[1:] > column[:-1]).all():
        return False
    return column.dtype.kind != "f" or bool((column == np.floor(column)).all())
