"""Tables in Parquet files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Problem, Refused, refuse

from ..files import packed, packer_of, reading, unreadable
from ..inputs import Key
from ..raw_data import RawExamples, RawPart
from .number_rows import NumberRows
from .tables import Table

BATCH = 8192
"""The rows that are read at a time."""


class Parquet(Table):
    """Columns of numbers in a Parquet file.

    Inputs must be numbers or booleans, none of them missing. Labels may be text; they then name
    classes. The schema and the labels are checked before anything begins, inputs when they are
    loaded.
    """

    kind: Literal["parquet"] = "parquet"

    def read(self) -> RawExamples:
        columns, train = self._part("path", self.path, None)
        if self.test is None:
            return RawExamples(train, None, tuple(columns), self.names)
        test = self._part("test", self.test, columns)[1]
        return RawExamples(train, test, tuple(columns), self.names)

    def _part(self, path: str, file: Path, columns: list[str] | None) -> tuple[list[str], RawPart]:
        from pyarrow import parquet

        with reading(path, file):
            if packer := packer_of(file):
                raise packed(path, file, packer)
            try:
                opened = parquet.ParquetFile(file)
            except ValueError as error:  # ArrowInvalid is one
                raise unreadable(path, file, error) from None
            schema = opened.schema_arrow
            columns = self.columns(path, file, schema.names) if columns is None else columns
            for name in columns:
                if name not in schema.names:
                    raise refuse(path, str(file), f"has no column {name}, as the training file has")
            dtypes = [_dtype(name, schema.field(name).type, file) for name in columns]
            labels = opened.read(list(self.targets))
        for name in self.targets:
            if nulls := labels[name].null_count:
                raise refuse("target", name, f"has {nulls} missing values in {file}")
        targets = [labels[name].to_numpy() for name in self.targets]
        inputs = ParquetColumns(file, columns, opened.metadata.num_rows, np.result_type(*dtypes))
        several = len(targets) > 1
        return columns, RawPart(inputs, np.stack(targets, axis=1) if several else targets[0])


class ParquetColumns:
    """Columns of a Parquet file, read together on demand."""

    reads_whole = True

    def __init__(self, file: Path, names: list[str], rows: int, dtype: np.dtype[Any]) -> None:
        self.file = file
        self.names = names
        self.shape = (rows, len(names))
        self.dtype = dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Key) -> NDArray[Any]:
        return np.asarray(self._read()[key])

    def _read(self) -> NDArray[Any]:
        """All rows: in memory, or mapped from a temporary file."""
        from pyarrow import parquet

        rows = NumberRows("path", self.file, len(self.names), self.dtype)
        missing: Counter[str] = Counter()
        with reading("path", self.file):
            try:
                opened = parquet.ParquetFile(self.file)
                for batch in opened.iter_batches(BATCH, columns=self.names):
                    column = dict(zip(batch.schema.names, batch.columns, strict=True))
                    missing.update({name: column[name].null_count for name in self.names})
                    if not missing.total():
                        arrays = (column[n].to_numpy(zero_copy_only=False) for n in self.names)
                        rows.append(len(batch), arrays)
            except Refused:
                raise
            except (ValueError, OSError) as error:
                raise unreadable("path", self.file, error) from None
        hint = "leave the column out by data.inputs=[…], or fill it first"
        problems = [
            Problem("inputs", name, f"has {nulls} missing values in {self.file}", hint)
            for name, nulls in missing.items()
            if nulls
        ]
        if problems:
            raise Refused(problems)
        return rows.array()


def _dtype(name: str, arrow_type: Any, file: Path) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(arrow_type.to_pandas_dtype())
    except NotImplementedError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        rule = f"is of type {arrow_type} in {file}, and inputs must be numbers"
        hint = "leave the column out by data.inputs=[…], or turn it into numbers first"
        raise refuse("inputs", name, rule, hint)
    return dtype
