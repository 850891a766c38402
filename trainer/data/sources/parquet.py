"""Tables in Parquet files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Problem, Refused, refuse

from ..files import packed, packer_of, reading, unreadable
from ..inputs import Key
from ..ragged import RaggedRows
from ..raw_part import RawPart
from .columns import TextColumn, column_override
from .layout import Layout
from .number_rows import FLOAT64, NumberRows
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

    def header(self) -> Sequence[str]:
        from pyarrow import parquet

        with reading("path", self.path):
            try:
                names: list[str] = parquet.read_schema(self.path).names
            except ValueError as error:
                raise unreadable("path", self.path, error) from None
        return names

    def read_part(self, path: str, file: Path) -> tuple[Layout, RawPart]:
        import pyarrow
        from pyarrow import compute, parquet

        with reading(path, file):
            if packer := packer_of(file):
                raise packed(path, file, packer)
            try:
                opened = parquet.ParquetFile(file)
                schema = opened.schema_arrow
                layout = self.layout(file, schema.names)
                types = dict(zip(schema.names, schema.types, strict=True))
                lists = tuple(n for n in layout.numbers if _is_list(types[n]))
                plain = {n: one for n, one in layout.numbers.items() if n not in lists}
                layout = layout._replace(numbers=plain, lists=lists)
                dtypes = _dtypes(
                    {name: types[name] for name in layout.numbers},
                    file,
                    in_windows=self.window is not None,
                )
                table = opened.read([*dict.fromkeys((*layout.texts, *layout.labels, *lists))])
            except Refused:
                raise
            except ValueError as error:  # ArrowInvalid is one
                raise unreadable(path, file, error) from None
        field = self.labels_override[0]
        for name in layout.labels:
            if nulls := table[name].null_count:
                raise refuse(field, name, f"has {nulls} missing values in {file}")
        texts = {
            name: TextColumn(
                name,
                compute.fill_null(table[name].cast(pyarrow.string()), ""),
                file,
                lambda row: f"row {row}",
            )
            for name in layout.texts
            if name not in layout.labels
        }
        labels = [table[name].to_numpy() for name in layout.labels]
        dtype = (
            np.result_type(*dtypes, *([np.float64] if layout.may_lack else []))
            if dtypes
            else FLOAT64
        )
        numbers = ParquetColumns(
            file, [*layout.numbers], opened.metadata.num_rows, dtype, layout.may_lack
        )
        rows = {name: _rows(name, table[name], file) for name in lists}
        return layout, self.part(layout, numbers, texts, labels, rows)

    def first_numbers(self, columns: Sequence[str], rows: int) -> NDArray[Any]:
        from pyarrow import parquet

        with reading("path", self.path):
            try:
                batches = parquet.ParquetFile(self.path).iter_batches(rows, columns=[*columns])
                batch = next(batches)
            except (ValueError, OSError) as error:
                raise unreadable("path", self.path, error) from None
        arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
        return np.stack([arrays[n].to_numpy(zero_copy_only=False) for n in columns], axis=1)


class ParquetColumns:
    """Columns of a Parquet file, read together on demand."""

    reads_whole = True

    def __init__(
        self,
        file: Path,
        names: list[str],
        rows: int,
        dtype: np.dtype[Any],
        may_lack: Sequence[str] = (),
    ) -> None:
        self._may_lack = frozenset(may_lack)
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
                    missing.update(
                        {n: column[n].null_count for n in self.names if n not in self._may_lack}
                    )
                    if not missing.total():
                        arrays = (column[n].to_numpy(zero_copy_only=False) for n in self.names)
                        rows.append(len(batch), arrays)
            except Refused:
                raise
            except (ValueError, OSError) as error:
                raise unreadable("path", self.file, error) from None
        filled, ignored = "{kind: number, missing: mean}", "{kind: ignore}"
        problems = [
            Problem(
                "inputs",
                name,
                f"has {nulls} missing values in {self.file}",
                f"{column_override(name, filled)} fills them; "
                f"{column_override(name, ignored)} leaves it out",
            )
            for name, nulls in missing.items()
            if nulls
        ]
        if problems:
            raise Refused(problems)
        return rows.array()


def _is_list(arrow_type: Any) -> bool:
    """Whether each cell is a list of numbers."""
    from pyarrow import types

    is_list = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if not any(is_one(arrow_type) for is_one in is_list):
        return False
    value = arrow_type.value_type
    return bool(types.is_integer(value) or types.is_floating(value))


def _rows(name: str, column: Any, file: Path) -> RaggedRows:
    """A column of lists of numbers.

    Raises:
        Refused: when a list, or a number in one, is missing.
    """
    from pyarrow import compute

    values = compute.list_flatten(column)
    if nulls := column.null_count + values.null_count:
        rule = f"has {nulls} missing values in {file}"
        raise refuse(
            "inputs", name, rule, f"{column_override(name, '{kind: ignore}')} leaves it out"
        )
    lengths = compute.list_value_length(column).to_numpy()
    return RaggedRows(values.to_numpy(), np.cumsum([0, *lengths.tolist()]).astype(np.int64))


def _dtypes(types: Mapping[str, Any], file: Path, *, in_windows: bool) -> list[np.dtype[Any]]:
    """The types of columns of numbers.

    Raises:
        Refused: naming every column of another type, with what declares it.
    """
    dtypes: list[np.dtype[Any]] = []
    problems: list[Problem] = []
    for name, arrow_type in types.items():
        try:
            dtype: np.dtype[Any] = np.dtype(arrow_type.to_pandas_dtype())
        except NotImplementedError:
            dtype = np.dtype(object)
        if dtype.kind in "biuf":
            dtypes.append(dtype)
            continue
        rule = f"is of type {arrow_type} in {file}, and inputs must be numbers"
        text = str(arrow_type)
        kind = "date" if text.startswith(("date", "timestamp")) else "category"
        learns = f"{column_override(name, f'{{kind: {kind}}}')} learns from it; or "
        if in_windows and kind == "category":
            learns += f"data.group_by={name} if it says which series a row is of; or "
        may_learn = "string" in text or kind == "date"
        leaves_out = f"{column_override(name, '{kind: ignore}')} leaves the column out"
        hint = learns + leaves_out if may_learn else leaves_out
        problems.append(Problem("inputs", name, rule, hint))
    if problems:
        raise Refused(problems)
    return dtypes
