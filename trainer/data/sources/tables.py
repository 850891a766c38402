"""Tables: a row an example, some columns its input and some its label."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Problem, did_you_mean, refuse

from ..files import File, reading, unreadable
from ..raw_data import RawData, RawExamples, RawPart

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "}
"""Delimiters by word, since most of the characters have a meaning to Hydra or a shell."""

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

    def has_test_part(self) -> bool:
        return self.test is not None

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if overlap := sorted(set(self.inputs or ()) & set(self.targets)):
            yield Problem(
                "inputs", list(self.inputs or ()), f"must not have the target {overlap[0]}"
            )

    def columns(self, path: str, file: Path, header: list[str]) -> list[str]:
        """The columns of a file with this `header` that make an input.

        Raises:
            Refused: when one is missing, or none is left.
        """
        inputs = self.inputs or tuple(name for name in header if name not in self.targets)
        for field, names in (("target", self.targets), ("inputs", inputs)):
            for name in names:
                if name not in header:
                    hint = did_you_mean(name, header)
                    raise refuse(field, name, f"is no column of {file}", hint)
                if header.count(name) > 1:
                    raise refuse(field, name, f"is more than one column of {file}", "rename them")
        if not inputs:
            raise refuse("target", list(self.targets), f"leaves no column of {file} for inputs")
        return list(inputs)


class Csv(Table):
    """A text file of values between commas, its first line the names of the columns.

    Inputs must be numbers: nothing is guessed of text, of dates or of what is missing. Labels may
    be text; they then name classes. The whole file is read before anything begins.
    """

    kind: Literal["csv"] = "csv"
    delimiter: Literal["comma", "semicolon", "tab", "bar", "space"] = "comma"
    """What stands between two values."""

    def read(self) -> RawExamples:
        columns, train = self._part("path", self.path)
        if self.test is None:
            return RawExamples(train, None, tuple(columns))
        test_columns, test = self._part("test", self.test)
        if test_columns != columns:
            listed, test_listed = ", ".join(columns), ", ".join(test_columns)
            rule = f"has the columns {test_listed}, and the training file {listed}"
            raise refuse("test", str(self.test), rule, "data.inputs=[…] names those of both")
        return RawExamples(train, test, tuple(columns))

    def _part(self, path: str, file: Path) -> tuple[list[str], RawPart]:
        with reading(path, file), file.open(encoding="utf-8-sig", newline="") as opened:
            try:
                rows = csv.reader(opened, delimiter=DELIMITERS[self.delimiter], strict=True)
                header = [name.strip() for name in next(rows, [])]
                if not header:
                    raise refuse(path, str(file), "is empty, and must begin with a line of names")
                if len(header) == 1 and (other := _delimiter_of(header[0])):
                    rule = f"has one column only by {self.delimiter}s: '{header[0]}'"
                    raise refuse(path, str(file), rule, f"data.delimiter={other}")
                columns = self.columns(path, file, header)
                cells, labels = _cells(rows, header, columns, self.targets, path, file)
            except (csv.Error, UnicodeDecodeError) as error:
                raise unreadable(path, file, error) from None
        several = len(self.targets) > 1
        return columns, RawPart(cells, labels if several else labels[:, 0])


def _delimiter_of(line: str) -> str | None:
    """The delimiter that a line of names seems to have."""
    return next((word for word, mark in DELIMITERS.items() if mark in line), None)


def _cells(
    rows: Iterator[list[str]],
    header: list[str],
    columns: list[str],
    targets: tuple[str, ...],
    path: str,
    file: Path,
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """The inputs, and the labels as numbers where all of them are numbers, else as text."""
    input_places = [header.index(name) for name in columns]
    target_places = [header.index(name) for name in targets]
    inputs = array("d")
    labels: list[list[str]] = []
    for row in rows:
        if not row:
            continue  # an empty line, as many files end with
        if len(row) != len(header):
            line = rows.line_num  # type: ignore[attr-defined]  # csv.reader has it
            rule = f"has {len(row)} values in line {line}, and {len(header)} columns"
            hint = "quote what has a delimiter in it; data.delimiter=semicolon is another one"
            raise refuse(path, str(file), rule, hint)
        try:
            inputs.extend([float(row[i]) for i in input_places])
        except ValueError:
            raise _not_a_number(rows, row, header, input_places, file) from None
        labels.append([row[i].strip() for i in target_places])
    if not inputs:
        raise refuse(path, str(file), "has no rows, only the names of columns")
    cells = np.frombuffer(inputs).reshape(-1, len(input_places))
    if not np.isfinite(cells).all():
        row_number, column = np.argwhere(~np.isfinite(cells))[0]
        cell = cells[row_number, column]
        rule = f"has {cell} in row {row_number + 1} of {file}, and inputs must be finite"
        hint = "leave the column out by data.inputs=[…], or clean it"
        raise refuse("inputs", columns[column], rule, hint)
    return cells, _numbers_or_text(np.array(labels))


def _numbers_or_text(labels: NDArray[np.str_]) -> NDArray[Any]:
    """The labels as whole numbers or as numbers, where all of them are; else as text."""
    for dtype in (np.int64, np.float64):
        try:
            return labels.astype(dtype)
        except (ValueError, OverflowError):
            continue
    return labels


def _not_a_number(
    rows: Any, row: list[str], header: list[str], places: list[int], file: Path
) -> Exception:
    """The refusal of a row that has something other than a number in `places`."""
    for i in places:
        try:
            float(row[i])
        except ValueError:
            cell = f"'{row[i]}'" if row[i].strip() else "nothing"
            rule = f"has {cell} in line {rows.line_num} of {file}, and inputs must be numbers"
            hint = "leave the column out by data.inputs=[…], or turn it into numbers first"
            return refuse("inputs", header[i], rule, hint)
    return refuse("inputs", ABSENT, f"line {rows.line_num} of {file} is not numbers")
