"""Rows of `metrics.jsonl` that have the same names, kept in columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

Row = Mapping[str, Any]
"""A row of `metrics.jsonl`: an update's, or with `eval_…` that of the state after `step`."""


class Rows(Sequence[Row]):
    """Some rows: a column for each number that varies, and the numbers that are constant.

    Where every update has its row, a dict and a JSON encoder for each would cost a tenth of what
    the update of a small network does. Text and events are made from the columns; iterating makes
    dicts. A dict has None for a number that JSON can't hold.

    >>> rows = Rows({"step": np.array([7, 8]), "loss": np.array([0.5, np.nan])}, {"speed": 2.0})
    >>> rows[-1], len(rows[:1])
    ({'step': 8, 'loss': None, 'speed': 2.0}, 1)
    >>> print(rows[:1].json_lines(), end="")
    {"step": 7, "loss": 0.5, "speed": 2.0}
    """

    def __init__(
        self, columns: Mapping[str, NDArray[Any]], constants: Mapping[str, float] | None = None
    ) -> None:
        """Each of `columns` has a number for each row; `constants` are the same in all rows."""
        self.columns = dict(columns)
        self.constants = dict(constants or {})

    @classmethod
    def single(cls, row: Mapping[str, float]) -> Self:
        """One row."""
        return cls({name: np.array([value]) for name, value in row.items()})

    @classmethod
    def concatenated(cls, parts: Iterable[Self]) -> Self:
        """All rows of several `Rows` that have the same names."""
        tables = [rows.all_columns() for rows in parts]
        names = tables[0]
        return cls({name: np.concatenate([table[name] for table in tables]) for name in names})

    @property
    def names(self) -> tuple[str, ...]:
        """The names of each row's numbers, in their order."""
        return (*self.columns, *self.constants)

    @property
    def finite(self) -> bool:
        """Whether JSON can hold every number."""
        return all(np.isfinite(values).all() for values in self.all_columns().values())

    def all_columns(self) -> dict[str, NDArray[Any]]:
        """The columns, with one for each constant."""
        return self.columns | {name: np.full(len(self), x) for name, x in self.constants.items()}

    def json_lines(self) -> str:
        """A line of JSON for each row."""
        fields = [f"{_json_key(name)}: %s" for name in self.columns]
        fields += [f"{_json_key(name)}: {_json([x])[0]}" for name, x in self.constants.items()]
        line = "{" + ", ".join(fields) + "}\n"
        entries = zip(*(_json(values.tolist()) for values in self.columns.values()), strict=True)
        return "".join(map(line.__mod__, entries))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Row | Self:
        if isinstance(index, slice):
            columns = {name: values[index] for name, values in self.columns.items()}
            return type(self)(columns, self.constants)
        position = range(len(self))[index]
        return next(iter(self[position : position + 1]))

    def __iter__(self) -> Iterator[Row]:
        columns = self.all_columns()
        for entries in zip(*map(_finite_or_none, columns.values()), strict=True):
            yield dict(zip(columns, entries, strict=True))


def grouped(rows: Sequence[Row]) -> Iterator[Rows]:
    """Yields the rows in their order, without numbers that are None.

    Neighbours with the same names are together in one `Rows`.
    """
    if isinstance(rows, Rows) and rows.finite:
        yield rows
        return
    without_none = ({name: x for name, x in row.items() if x is not None} for row in rows)
    for names, neighbours in groupby(without_none, tuple):
        columns = zip(*(row.values() for row in neighbours), strict=True)
        yield Rows({name: np.array(column) for name, column in zip(names, columns, strict=True)})


def _json_key(name: str) -> str:
    """The name as JSON, for a template of the `%` operator."""
    return json.dumps(name).replace("%", "%%")


def _json(numbers: list[float]) -> list[str]:
    """Each number as JSON; reading it back gives the same bits."""
    return to_json(numbers, inf_nan_mode="null")[1:-1].decode().split(",")


def _finite_or_none(values: NDArray[Any]) -> list[Any]:
    """The numbers of a column, None for those that JSON can't hold."""
    numbers: list[Any] = values.tolist()
    finite = np.isfinite(values)
    if finite.all():
        return numbers
    return [x if is_finite else None for x, is_finite in zip(numbers, finite, strict=True)]
