"""Tables: a row an example, some columns its input and some its label."""

from __future__ import annotations

import csv
import re
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Problem, did_you_mean, refuse

from ..files import File, reading, unreadable
from ..raw_data import RawData, RawExamples, RawPart
from .columns import TextColumn, counts_rows, is_number, is_unnamed, read_labels
from .text_files import text_lines

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

    def columns(self, path: str, file: Path, header: list[str]) -> list[str]:
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

    def inputs_hint(self, names: Sequence[str]) -> str:
        """The override that takes these columns for inputs."""
        is_plain = all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in names)
        listed = ",".join(names) if names and is_plain and len(names) <= 8 else "…"
        return f"data.inputs=[{listed}] says which columns to learn from"


class Csv(Table):
    """A text file of values between commas, its first line the names of the columns.

    Inputs must be numbers, as pandas reads them: nothing is guessed of text, of dates or of what is
    missing. Labels may be text; they then name classes. The file may be packed by gzip, and the
    whole of it is read before anything begins.
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
        with reading(path, file), text_lines(path, file) as lines:
            try:
                rows = csv.reader(lines, delimiter=DELIMITERS[self.delimiter], strict=True)
                header = [name.strip() for name in next(rows, [])]
                if not header:
                    raise refuse(path, str(file), "is empty, and must begin with a line of names")
                if len(header) == 1 and (other := _delimiter_of(header[0])):
                    rule = f"has one column only by {self.delimiter}s: '{header[0]}'"
                    raise refuse(path, str(file), rule, f"data.delimiter={other}")
                columns = self.columns(path, file, header)
                cells, targets = _cells(rows, header, columns, self.targets, path, file)
            except (csv.Error, UnicodeDecodeError, EOFError, zlib.error) as error:
                raise unreadable(path, file, error) from None
        if path == "path" and self.inputs is None:
            self._check_row_numbers(columns, cells, file)
        labels = [read_labels(column, self.task) for column in targets]
        return columns, RawPart(cells, np.stack(labels, axis=1) if len(labels) > 1 else labels[0])

    def _check_row_numbers(
        self, columns: Sequence[str], cells: NDArray[np.float64], file: Path
    ) -> None:
        """Refuses a column that counts the rows, unless the config has it among the inputs."""
        others = [name for i, name in enumerate(columns) if not counts_rows(cells[:, i])]
        if others and len(others) < len(columns):
            name = next(name for name in columns if name not in others)
            rule = f"counts the rows of {file}, and tells where an example stands"
            raise refuse("inputs", name, rule, self.inputs_hint(others))


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
) -> tuple[NDArray[np.float64], list[TextColumn]]:
    """The inputs `[n, columns]`, and the texts of each target."""
    input_places = [header.index(name) for name in columns]
    target_places = [header.index(name) for name in targets]
    inputs, lines = array("d"), array("q")
    labels: list[list[str]] = [[] for _ in targets]
    for row in rows:
        if not row:
            continue  # an empty line, as many files end with
        line = rows.line_num  # type: ignore[attr-defined]  # csv.reader has it
        if len(row) != len(header):
            rule = f"has {len(row)} values in line {line}, and {len(header)} columns"
            hint = "quote what has a delimiter in it; data.delimiter=semicolon is another one"
            raise refuse(path, str(file), rule, hint)
        texts = [row[i] for i in input_places]
        joined = "".join(texts)
        try:
            inputs.extend(map(float, texts))
        except ValueError:
            raise _not_a_number(texts, columns, line, file) from None
        if "_" in joined or not joined.isascii():  # which float takes, see `is_number`
            raise _not_a_number(texts, columns, line, file)
        lines.append(line)
        for column, i in zip(labels, target_places, strict=True):
            column.append(row[i].strip())
    if not inputs:
        raise refuse(path, str(file), "has no rows, only the names of columns")
    cells = np.frombuffer(inputs).reshape(-1, len(input_places))
    if not np.isfinite(cells).all():
        row_number, place = np.argwhere(~np.isfinite(cells))[0]
        rule = f"has {cells[row_number, place]} in line {lines[row_number]} of {file}"
        hint = "leave the column out by data.inputs=[…], or clean it"
        raise refuse("inputs", columns[place], f"{rule}, and inputs must be finite", hint)
    return cells, [TextColumn(*column, lines, file) for column in zip(targets, labels, strict=True)]


def _not_a_number(texts: Sequence[str], columns: Sequence[str], line: int, file: Path) -> Exception:
    """The refusal of a row of inputs that has something other than a number."""
    i = next(i for i, text in enumerate(texts) if not is_number(text))
    cell = f"'{texts[i]}'" if texts[i].strip() else "nothing"
    rule = f"has {cell} in line {line} of {file}, and inputs must be numbers"
    hint = "leave the column out by data.inputs=[…], or turn it into numbers first"
    return refuse("inputs", columns[i], rule, hint)
