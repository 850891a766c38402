"""Tables: a row an example, some columns its input and some its label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Problem, did_you_mean, refuse

from ..files import File
from ..raw_data import RawData, RawExamples, RawPart
from .columns import counts_rows, is_unnamed, read_labels
from .csv_file import CsvFile

Columns = Annotated[tuple[str, ...], Field(min_length=1)]


class Table(RawData):
    """What tables have in common, whatever their file format."""

    path: File
    """The file."""
    test: File | None = None
    """Another file with the test examples, in the same columns; null to hold some out."""
    target: str | Columns
    """The column of labels, or several columns of numbers to predict."""
    inputs: Columns | None = None
    """The columns that make an input; null for all the others."""

    @property
    def labels_override(self) -> tuple[str, object]:
        return "target", self.target if isinstance(self.target, str) else list(self.target)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns of labels."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the classes where each has a column, which marks it by 1."""
        return self.targets if len(self.targets) > 1 else None

    def has_test_part(self) -> bool:
        return self.test is not None

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if overlap := sorted(set(self.inputs or ()) & set(self.targets)):
            yield Problem(
                "inputs", list(self.inputs or ()), f"must not have the target {overlap[0]}"
            )

    def columns(self, path: str, file: Path, header: Sequence[str]) -> list[str]:
        """The columns of a file with this `header` that make an input.

        Raises:
            Refused: when one is missing, or none is left.
        """
        inputs = self.inputs or tuple(name for name in header if name not in self.targets)
        if self.inputs is None and any(map(is_unnamed, inputs)):
            place = next(i for i, name in enumerate(header, start=1) if is_unnamed(name))
            rule = f"would have column {place} of {file}, without a name, as row numbers are kept"
            named = [name for name in inputs if not is_unnamed(name)]
            raise refuse("inputs", ABSENT, rule, self.inputs_hint(named))
        count = Counter(header)
        for field, names in (("target", self.targets), ("inputs", inputs)):
            for name in names:
                if name not in count:
                    hint = did_you_mean(name, header)
                    raise refuse(field, name, f"is no column of {file}", hint)
                if count[name] > 1:
                    raise refuse(field, name, f"is more than one column of {file}", "rename them")
        if not inputs:
            raise refuse("target", list(self.targets), f"leaves no column of {file} for inputs")
        return list(inputs)

    def inputs_hint(self, names: Sequence[str]) -> str:
        """The override that takes these columns for inputs."""
        is_plain = all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in names)
        listed = ",".join(names) if names and is_plain and len(names) <= 8 else "…"
        return f"data.inputs=[{listed}] says which columns to learn from"


class Csv(Table):
    """A text file of values between commas, its first line the names of the columns.

    Inputs must be numbers, as pandas reads them: nothing is guessed of text, of dates or of what is
    missing. Labels may be text; they then name classes. The file may be packed by gzip. All of it
    is read before anything begins; numbers that memory has no room for wait in a temporary file.
    """

    kind: Literal["csv"] = "csv"
    delimiter: Literal["comma", "semicolon", "tab", "bar", "space"] = "comma"
    """What stands between two values."""

    def read(self) -> RawExamples:
        columns, train = self._part("path", self.path)
        if self.test is None:
            return RawExamples(train, None, tuple(columns), self.names)
        test_columns, test = self._part("test", self.test)
        if test_columns != columns:
            listed, test_listed = ", ".join(columns), ", ".join(test_columns)
            rule = f"has the columns {test_listed}, and the training file {listed}"
            raise refuse("test", str(self.test), rule, "data.inputs=[…] names those of both")
        return RawExamples(train, test, tuple(columns), self.names)

    def _part(self, path: str, file: Path) -> tuple[list[str], RawPart]:
        opened = CsvFile.opened(path, file, self.delimiter)
        columns = self.columns(path, file, opened.header)
        cells, texts = opened.read(columns, self.targets)
        if path == "path" and self.inputs is None:
            self._check_row_numbers(columns, cells, file)
        labels = [read_labels(texts[name], self.task) for name in self.targets]
        return columns, RawPart(cells, np.stack(labels, axis=1) if len(labels) > 1 else labels[0])

    def _check_row_numbers(
        self, columns: Sequence[str], cells: NDArray[np.float64], file: Path
    ) -> None:
        """Refuses a column that counts the rows, unless the config has it among the inputs."""
        counting = [counts_rows(cells[:, i]) for i in range(len(columns))]
        others = [name for name, counts in zip(columns, counting, strict=True) if not counts]
        if others and any(counting):
            name = columns[counting.index(True)]
            rule = f"counts the rows of {file}, and tells where an example stands"
            raise refuse("inputs", name, rule, self.inputs_hint(others))
