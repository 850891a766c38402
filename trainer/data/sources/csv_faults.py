"""What is wrong in a CSV file, and in which line: a slow second pass, once a fast one failed."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from schedules.declaration import Problem, Refused, refuse

from ..column_preparation import ISO
from ..files import reading, unreadable
from .columns import MISSING, column_override, is_number
from .text_files import text_lines

FAULTS_SHOWN = 8
"""How many columns at fault are told of at once."""


@dataclass(frozen=True)
class CsvFaults:
    """Reads a CSV file row by row; `path` is the override that names it."""

    path: str
    file: Path
    delimiter: str
    header: Sequence[str]
    in_windows: bool = False
    """Whether windows are taken of the rows, in which a column can't be words."""

    def check(self, numbers: Sequence[str], may_lack: Sequence[str] = ()) -> None:
        """Refuses all columns of `numbers` that have something else, each by its first such line.

        Raises:
            Refused: for those, for the first row with another number of values than names, for text
                that is not quoted as it should be, or where there are no rows.
        """
        place = {name: i for i, name in enumerate(self.header)}
        unchecked = {name: place[name] for name in numbers}
        lacks = set(may_lack)
        problems: list[Problem] = []
        line = 0
        for line, row in self._rows():
            texts = [row[i] for i in unchecked.values()]
            if _are_finite(texts):
                continue
            for name, text in zip(list(unchecked), texts, strict=True):
                if name in lacks and (not text or text in MISSING):
                    continue
                if not _are_finite([text]):
                    problems.append(self._problem(name, text, line))
                    del unchecked[name]
        if not line:
            raise refuse(self.path, str(self.file), "has no rows, only the names of columns")
        if (more := len(problems) - FAULTS_SHOWN) > 0:
            last = problems[FAULTS_SHOWN - 1]
            rule = f"{last.rule}; {more:,} more columns have such values"
            problems[FAULTS_SHOWN - 1] = Problem(last.path, last.value, rule, last.hint)
        if problems:
            raise Refused(problems[:FAULTS_SHOWN])

    def line(self, row: int) -> int:
        """The line in which a row ends; rows are counted from 0 on."""
        return next(islice(self._rows(), row, None))[0]

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yields every row after the names, with its line."""
        with reading(self.path, self.file), text_lines(self.path, self.file) as lines:
            rows = csv.reader(lines, delimiter=self.delimiter, strict=True)
            try:
                next(rows)
                for row in rows:
                    if not row:
                        continue  # an empty line, as many files end with
                    if len(row) != len(self.header):
                        raise self._ragged(len(row), rows.line_num)
                    yield rows.line_num, row
            except (csv.Error, UnicodeDecodeError, EOFError, zlib.error) as error:
                raise unreadable(self.path, self.file, error) from None

    def _ragged(self, values: int, line: int) -> Refused:
        rule = f"has {values} values in line {line}, and {len(self.header)} columns"
        hint = "quote what has a delimiter in it; data.delimiter=semicolon is another one"
        return refuse(self.path, str(self.file), rule, hint)

    def _problem(self, name: str, text: str, line: int) -> Problem:
        if is_number(text):
            rule = f"has {float(text)} in line {line} of {self.file}, and inputs must be finite"
            hint = f"leave the column out by {column_override(name, '{kind: ignore}')}, or clean it"
            return Problem("inputs", name, rule, hint)
        cell = f"'{text}'" if text.strip() else "nothing"
        rule = f"has {cell} in line {line} of {self.file}, and inputs must be numbers"
        leaves_out = f"leave the column out by {column_override(name, '{kind: ignore}')}"
        if not text.strip() or text in MISSING:
            declared = f"{column_override(name, '{kind: number, missing: mean}')} fills it"
        elif re.fullmatch(ISO, text.strip(), re.ASCII):
            declared = f"{column_override(name, '{kind: date}')} takes dates"
        else:
            is_text = len(text.split()) > 3 and not self.in_windows
            kind = "text" if is_text else "category"
            declared = f"{column_override(name, f'{{kind: {kind}}}')} learns from it"
            if self.in_windows:
                declared += f"; data.group_by={name} if it says which series a row is of"
        hint = f"{declared}; or {leaves_out}, or write numbers"
        return Problem("inputs", name, rule, hint)


def _are_finite(texts: Sequence[str]) -> bool:
    """Whether all texts are numbers that are finite."""
    try:
        finite = np.isfinite(np.fromiter(map(float, texts), np.float64, len(texts))).all()
    except ValueError:
        return False
    joined = "".join(texts)
    return bool(finite) and "_" not in joined and joined.isascii()


class IllQuoted(ValueError):  # noqa: N818  # reads as what was found
    """A quote stands where it ends no value and begins none; what was meant has to be looked at."""


class Quotes:
    r"""The bytes of a file as it is read, each quote in them looked at.

    pyarrow takes `"a"b` for `ab`, so that a quote which was forgotten swallows lines up to the next
    one. Here the first, third … quote must follow a delimiter or an end of line, and each other be
    followed by one, or by a quote.

    >>> from io import BytesIO
    >>> Quotes(BytesIO(b'a,b\n"x ""y"" z",1\n'), ",").read(99)[:3]
    b'a,b'
    >>> Quotes(BytesIO(b'"x,1\n"z,2\n'), ",").read(99)
    Traceback (most recent call last):
    trainer.data.sources.csv_faults.IllQuoted
    """

    closed = False

    def __init__(self, stream: Any, delimiter: str) -> None:
        self._stream = stream
        self._around = np.zeros(256, np.bool_)
        self._around[list(f'\r\n"{delimiter}'.encode())] = True
        self._quotes = 0
        self._last = b"\n"
        self._ends_in_closing = False

    def read(self, count: int = -1) -> bytes:
        """The next bytes.

        Raises:
            IllQuoted: when a quote is in another place than a quote should be.
        """
        block: bytes = self._stream.read(count)
        if not block and self._quotes % 2:
            raise IllQuoted
        begins = block.removeprefix(b"\xef\xbb\xbf") if self._last == b"\n" else block
        if self._ends_in_closing and begins and not self._around[begins[0]]:
            raise IllQuoted
        self._ends_in_closing = False
        if b'"' in begins:
            self._look(begins)
        if begins:
            self._last = begins[-1:]
        return block

    def _look(self, block: bytes) -> None:
        """Looks at the quotes of a block."""
        padded = np.frombuffer(self._last + block + b"\n", np.uint8)
        places = np.flatnonzero(padded[1:-1] == ord('"')) + 1
        opening = (np.arange(len(places)) + self._quotes) % 2 == 0
        fits = np.where(opening, self._around[padded[places - 1]], self._around[padded[places + 1]])
        self._quotes += len(places)
        if not fits.all():
            raise IllQuoted
        self._ends_in_closing = places[-1] == len(padded) - 2 and not opening[-1]

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False
