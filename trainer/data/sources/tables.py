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
"""By words, since most of these mean something to Hydra or a shell."""

Columns = Annotated[tuple[str, ...], Field(min_length=1)]


class Table(RawData):
    """What tables have in common, whatever file they lie in."""

    path: File
    """The file."""
    test: File | None = None
    """Another file with the test examples, in the same columns; null to hold some out."""
    target: str | Columns
    """The column of labels, or several columns of numbers to predict."""
    inputs: Columns | None = None
    """The columns that make an input; null for all the others."""

    @property
    def labelled(self) -> tuple[str, object]:
        return "target", self.target if isinstance(self.target, str) else list(self.target)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns of labels."""
        return (self.target,) if isinstance(self.target, str) else self.target

    def given(self) -> bool:
        return self.test is not None

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if both := sorted(set(self.inputs or ()) & set(self.targets)):
            yield Problem("inputs", list(self.inputs or ()), f"must not have the target {both[0]}")

    def columns(self, path: str, file: Path, there: list[str]) -> list[str]:
        """The columns that make an input, of those that a file has.

        Raises:
            Refused: when one is missing, or none is left.
        """
        asked = self.inputs or tuple(name for name in there if name not in self.targets)
        for field, names in (("target", self.targets), ("inputs", asked)):
            for name in names:
                if name not in there:
                    hint = did_you_mean(name, there)
                    raise refuse(field, name, f"is no column of {file}", hint)
                if there.count(name) > 1:
                    raise refuse(field, name, f"is more than one column of {file}", "rename them")
        if not asked:
            raise refuse("target", list(self.targets), f"leaves no column of {file} for inputs")
        return list(asked)


class Csv(Table):
    """A text file of values between commas, its first line the names of the columns.

    Inputs must be numbers: nothing is guessed of text, of dates or of what is missing. Labels may
    be text; they then name classes. The whole file is read before anything begins.
    """

    kind: Literal["csv"] = "csv"
    delimiter: Literal["comma", "semicolon", "tab", "bar", "space"] = "comma"
    """What stands between two values."""

    def found(self) -> RawExamples:
        columns, train = self._part("path", self.path)
        if self.test is None:
            return RawExamples(train, None, tuple(columns))
        also, test = self._part("test", self.test)
        if also != columns:
            rule = f"has the columns {', '.join(also)}, and the training file {', '.join(columns)}"
            raise refuse("test", str(self.test), rule, "data.inputs=[…] names those of both")
        return RawExamples(train, test, tuple(columns))

    def _part(self, path: str, file: Path) -> tuple[list[str], RawPart]:
        with reading(path, file), file.open(encoding="utf-8-sig", newline="") as opened:
            try:
                rows = csv.reader(opened, delimiter=DELIMITERS[self.delimiter], strict=True)
                there = [name.strip() for name in next(rows, [])]
                if not there:
                    raise refuse(path, str(file), "is empty, and must begin with a line of names")
                if len(there) == 1 and (other := _parted_by(there[0])):
                    rule = f"has one column only by {self.delimiter}s: '{there[0]}'"
                    raise refuse(path, str(file), rule, f"data.delimiter={other}")
                columns = self.columns(path, file, there)
                cells, labels = _cells(rows, there, columns, self.targets, path, file)
            except (csv.Error, UnicodeDecodeError) as error:
                raise unreadable(path, file, error) from None
        wide = len(self.targets) > 1
        return columns, RawPart(cells, labels if wide else labels[:, 0])


def _parted_by(line: str) -> str | None:
    """The delimiter that a line of names seems to have."""
    return next((word for word, mark in DELIMITERS.items() if mark in line), None)


def _cells(
    rows: Iterator[list[str]],
    there: list[str],
    columns: list[str],
    targets: tuple[str, ...],
    path: str,
    file: Path,
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """The inputs, and the labels as numbers where they are, else as text."""
    places = [there.index(name) for name in columns]
    labelled = [there.index(name) for name in targets]
    inputs = array("d")
    labels: list[list[str]] = []
    for row in rows:
        if not row:
            continue  # an empty line, as many files end with
        if len(row) != len(there):
            line = rows.line_num  # type: ignore[attr-defined]  # csv.reader has it
            rule = f"has {len(row)} values in line {line}, and {len(there)} columns"
            hint = "quote what has a delimiter in it; data.delimiter=semicolon is another one"
            raise refuse(path, str(file), rule, hint)
        try:
            inputs.extend([float(row[i]) for i in places])
        except ValueError:
            raise _no_number(rows, row, there, places, file) from None
        labels.append([row[i].strip() for i in labelled])
    if not inputs:
        raise refuse(path, str(file), "has no rows, only the names of columns")
    cells = np.frombuffer(inputs).reshape(-1, len(places))
    if not np.isfinite(cells).all():
        i, j = np.argwhere(~np.isfinite(cells))[0]
        rule = f"has {cells[i, j]} in row {i + 1} of {file}, and inputs must be finite"
        hint = "leave the column out by data.inputs=[…], or clean it"
        raise refuse("inputs", columns[j], rule, hint)
    return cells, _typed(np.array(labels))


def _typed(labels: NDArray[np.str_]) -> NDArray[Any]:
    """Whole numbers, numbers, or the text that they are, whichever all of them are."""
    for kind in (np.int64, np.float64):
        try:
            return labels.astype(kind)
        except (ValueError, OverflowError):
            continue
    return labels


def _no_number(
    rows: Any, row: list[str], there: list[str], places: list[int], file: Path
) -> Exception:
    """The refusal of a row with something other than numbers."""
    for i in places:
        try:
            float(row[i])
        except ValueError:
            what = f"'{row[i]}'" if row[i].strip() else "nothing"
            rule = f"has {what} in line {rows.line_num} of {file}, and inputs must be numbers"
            hint = "leave the column out by data.inputs=[…], or turn it into numbers first"
            return refuse("inputs", there[i], rule, hint)
    return refuse("inputs", ABSENT, f"line {rows.line_num} of {file} is not numbers")
