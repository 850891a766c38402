"""A CSV file, read by pyarrow: columns of numbers together, columns of text each by itself."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..files import packer_of, reading, unreadable
from .columns import MISSING, TextColumn
from .csv_faults import CsvFaults, IllQuoted, Quotes
from .number_rows import NumberRows
from .text_files import LONGEST_LINE, text_lines

if TYPE_CHECKING:
    import pyarrow

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "}
"""Delimiters by word, since most of the characters have a meaning to Hydra or a shell."""

BLOCK = 2**20
"""The bytes that are parsed at a time, where no line is longer."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV file whose first line has been read; `path` is the override that names it."""

    path: str
    file: Path
    delimiter: str
    """One of `DELIMITERS`."""
    header: tuple[str, ...]
    """The names of the columns."""

    @classmethod
    def opened(cls, path: str, file: Path, delimiter: str) -> Self:
        """Reads the names of the columns.

        Raises:
            Refused: when there is no such file, or no line of names that the delimiter divides.
        """
        with reading(path, file), text_lines(path, file) as lines:
            try:
                rows = csv.reader(lines, delimiter=DELIMITERS[delimiter], strict=True)
                header = [name.strip() for name in next(rows, [])]
            except (csv.Error, UnicodeDecodeError, EOFError, zlib.error) as error:
                raise unreadable(path, file, error) from None
        if not header:
            raise refuse(path, str(file), "is empty, and must begin with a line of names")
        if len(header) == 1 and (other := _delimiter_of(header[0])):
            rule = f"has one column only by {delimiter}s: '{header[0]}'"
            raise refuse(path, str(file), rule, f"data.delimiter={other}")
        return cls(path, file, delimiter, tuple(header))

    def read(
        self,
        numbers: Sequence[str],
        texts: Sequence[str],
        may_lack: Sequence[str] = (),
        *,
        in_windows: bool = False,
    ) -> tuple[NDArray[np.float64], dict[str, TextColumn]]:
        """The columns `numbers` as `[n, columns]`, and each of `texts`, in one pass over the file.

        The columns in `may_lack` have NaN where pandas would read a missing value. With
        `in_windows` hints say what a column of text may be to a row of these.

        Raises:
            Refused: when a row has more or fewer values than there are names, or a column of
                numbers has something else, with the line where that is.
        """
        import pyarrow

        faults = CsvFaults(
            self.path, self.file, DELIMITERS[self.delimiter], self.header, in_windows
        )
        with reading(self.path, self.file):
            for block in (max(BLOCK, 64 * len(self.header)), 2 * LONGEST_LINE):
                try:
                    return self._columns(numbers, texts, may_lack, block, faults)
                except IllQuoted:
                    faults.check(numbers, may_lack)
                    return self._columns(numbers, texts, may_lack, block, faults, strict=False)
                except pyarrow.ArrowInvalid as error:
                    faults.check(numbers, may_lack)
                    last = error
        raise unreadable(self.path, self.file, last)

    def _columns(
        self,
        numbers: Sequence[str],
        texts: Sequence[str],
        may_lack: Sequence[str],
        block: int,
        faults: CsvFaults,
        *,
        strict: bool = True,
    ) -> tuple[NDArray[np.float64], dict[str, TextColumn]]:
        import pyarrow

        place = {name: i for i, name in enumerate(self.header)}
        rows = NumberRows(self.path, self.file, len(numbers))
        chunks: list[list[Any]] = [[] for _ in texts]
        wanted = [str(place[name]) for name in (*numbers, *texts)]
        lacks = np.array([name in may_lack for name in numbers], np.bool_)
        count = 0
        for batch in self._batches(wanted, len(numbers), block, strict=strict):
            of_numbers = (x.to_numpy(zero_copy_only=False) for x in batch.columns[: len(numbers)])
            values = rows.append(len(batch), of_numbers)
            if (np.isinf(values) | (np.isnan(values) & ~lacks)).any():
                faults.check(numbers, may_lack)
            for i, column in enumerate(chunks, start=len(numbers)):
                column.append(batch.column(i))
            count += len(batch)
        if not count:
            faults.check(numbers, may_lack)

        def where(row: int) -> str:
            return f"line {faults.line(row)}"

        arrays = map(pyarrow.chunked_array, chunks)
        named = zip(texts, arrays, strict=True)
        return rows.array(), {n: TextColumn(n, column, self.file, where) for n, column in named}

    def _batches(
        self, wanted: Sequence[str], numbers: int, block: int, *, strict: bool
    ) -> Iterator[pyarrow.RecordBatch]:
        """The columns at the places `wanted`, the first `numbers` of them as numbers."""
        import pyarrow
        from pyarrow import csv as arrow_csv

        types = [pyarrow.float64()] * numbers + [pyarrow.string()] * (len(wanted) - numbers)
        packer = "gzip" if packer_of(self.file) else None
        with pyarrow.input_stream(str(self.file), compression=packer) as stream:
            source = Quotes(stream, DELIMITERS[self.delimiter]) if strict else stream
            reader = arrow_csv.open_csv(
                source,
                arrow_csv.ReadOptions(
                    column_names=[str(i) for i in range(len(self.header))],
                    skip_rows_after_names=1,
                    block_size=block,
                ),
                arrow_csv.ParseOptions(
                    delimiter=DELIMITERS[self.delimiter], newlines_in_values=True
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict(zip(wanted, types, strict=True)),
                    include_columns=list(wanted),
                    null_values=["", *MISSING],
                    strings_can_be_null=False,
                ),
            )
            yield from reader


def _delimiter_of(line: str) -> str | None:
    """The delimiter that a line of names seems to have."""
    return next((word for word, mark in DELIMITERS.items() if mark in line), None)
