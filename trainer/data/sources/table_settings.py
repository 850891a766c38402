"""What is declared of a table: which columns are inputs, labels and weights, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from schedules.declaration import ABSENT, Problem

from ..column import Column, Text
from ..files import File
from ..raw_data import RawData
from .columns import column_override

Columns = Annotated[tuple[str, ...], Field(min_length=1)]


class TableSettings(RawData):
    """The settings that tables have in common, whatever their file format."""

    path: File
    """The file."""
    test: File | None = None
    """Another file with the test examples, in the same columns; null to hold some out."""
    target: str | Columns | None = None
    """The column of labels, or several columns of numbers to predict together."""
    targets: Columns | None = None
    """Several columns in place of `target`, each a label by its name: classes or a number."""
    inputs: Columns | None = None
    """The columns that make an input; null for all the others, and in windows for labels too."""
    weights: str | None = None
    """The column that says what each example counts for, from 0 on."""
    group_by: str | None = None
    """The column that says which series a row belongs to, where `window` is of several."""
    columns: Mapping[str, Column] = {}
    """What columns hold that are no plain numbers: `data.columns.NAME={kind: category}`."""

    has_order: ClassVar[bool] = True

    @property
    def labels_override(self) -> tuple[str, object]:
        if self.targets:
            return "targets", list(self.targets)
        return "target", list(self.target) if isinstance(self.target, tuple) else self.target

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of labels."""
        if self.targets or self.target is None:
            return self.targets or ()
        return (self.target,) if isinstance(self.target, str) else self.target

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the classes where each has a column, which marks it by 1."""
        return None if self.targets or len(self.labels) < 2 else self.labels

    def has_test_part(self) -> bool:
        return self.test is not None

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.target is None and self.targets is None:
            hint = "data.target=COLUMN, or data.targets=[COLUMN,COLUMN] for several labels"
            yield Problem("target", ABSENT, "is required", hint)
        if self.target is not None and self.targets is not None:
            rule = "is not needed, since data.targets names the labels"
            yield Problem("target", self.labels_override[1], rule, "leave out one of the two")
        listed = list(self.inputs or ())
        overlap = sorted(set(listed) & set(self.labels))
        if overlap and self.window is None:
            yield Problem("inputs", listed, f"must not have the target {overlap[0]}")
        if self.weights is not None and self.weights in (*listed, *self.labels):
            rule = "is an input or a label too, and says what examples count for"
            yield Problem("weights", self.weights, rule, "leave it out of data.inputs and targets")
        if self.group_by is not None:
            if self.window is None:
                rule = "says of which series a row is, and only windows are taken of series"
                yield Problem("group_by", self.group_by, rule, "leave it out")
            elif self.group_by in (*listed, *self.labels, self.weights):
                rule = "is an input, a label or a weight too, and says of which series a row is"
                yield Problem("group_by", self.group_by, rule, "leave it out of those")
        for name, column in self.columns.items():
            if self.window is not None and isinstance(column, Text):
                rule = "is not for windows, of which each row would be a row of words"
                hint = f"{column_override(name, '{kind: category}')}, or {{kind: ignore}}"
                if self.group_by is None:
                    hint += f"; data.group_by={name} if it says which series a row is of"
                yield Problem(f"columns.{name}.kind", column.kind, rule, hint)
            elif name in (*(self.labels if self.window is None else ()), self.weights):
                rule = "is no input, and data.columns is for inputs"
                yield Problem(f"columns.{name}", ABSENT, rule, "data.task is for labels")
            elif listed and name not in listed:
                rule = "is not among data.inputs"
                yield Problem(f"columns.{name}", ABSENT, rule, "leave it out, or name it there")
