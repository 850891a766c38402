"""Rows that tell of the same things, kept in columns."""

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
    """Some rows, each an entry of every column, and what all of them tell alike.

    Where every update has its row, a dict and a JSON encoder for each would cost a tenth of what
    the update of a small network does. As text and as events they are made from the columns, and
    dicts only for whoever asks. A number that JSON can't hold is None there.

    >>> lot = Lot({"step": np.array([7, 8]), "loss": np.array([0.5, np.nan])}, {"speed": 2.0})
    >>> lot[-1], len(lot[:1])
    ({'step': 8, 'loss': None, 'speed': 2.0}, 1)
    >>> print(lot[:1].text(), end="")
    {"step": 7, "loss": 0.5, "speed": 2.0}
    """

    def __init__(
        self, columns: Mapping[str, NDArray[Any]], alike: Mapping[str, float] | None = None
    ) -> None:
        """`columns` has a number for each row, and a row tells them before what is `alike`."""
        self.columns = dict(columns)
        self.alike = dict(alike or {})

    @classmethod
    def of(cls, row: Mapping[str, float]) -> Self:
        """A single row."""
        return cls({name: np.array([value]) for name, value in row.items()})

    @classmethod
    def joined(cls, lots: Iterable[Self]) -> Self:
        """The rows of several that have the same names."""
        whole = [lot.spread() for lot in lots]
        names = whole[0]
        return cls({name: np.concatenate([columns[name] for columns in whole]) for name in names})

    @property
    def names(self) -> tuple[str, ...]:
        """What each row tells."""
        return (*self.columns, *self.alike)

    @property
    def finite(self) -> bool:
        """Whether there is no number that JSON can't hold."""
        return all(np.isfinite(values).all() for values in self.spread().values())

    def spread(self) -> dict[str, NDArray[Any]]:
        """A column for each name."""
        return self.columns | {name: np.full(len(self), x) for name, x in self.alike.items()}

    def text(self) -> str:
        """A line of JSON for each row."""
        told = [f"{_named(name)}: %s" for name in self.columns]
        told += [f"{_named(name)}: {_printed([value])[0]}" for name, value in self.alike.items()]
        line = "{" + ", ".join(told) + "}\n"
        entries = zip(*(_printed(values.tolist()) for values in self.columns.values()), strict=True)
        return "".join(map(line.__mod__, entries))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @overload
    def __getitem__(self, which: int) -> Row: ...
    @overload
    def __getitem__(self, which: slice) -> Self: ...
    def __getitem__(self, which: int | slice) -> Row | Self:
        if isinstance(which, slice):
            columns = {name: values[which] for name, values in self.columns.items()}
            return type(self)(columns, self.alike)
        at = range(len(self))[which]
        return next(iter(self[at : at + 1]))

    def __iter__(self) -> Iterator[Row]:
        columns = self.spread()
        for entries in zip(*map(_told, columns.values()), strict=True):
            yield dict(zip(columns, entries, strict=True))


def lots(rows: Sequence[Row]) -> Iterator[Rows]:
    """The rows in order, without what is None: as they came, or those together that are alike."""
    if isinstance(rows, Rows) and rows.finite:
        yield rows
        return
    there = ({name: x for name, x in row.items() if x is not None} for row in rows)
    for names, like in groupby(there, tuple):
        values = zip(*(row.values() for row in like), strict=True)
        yield Rows({name: np.array(column) for name, column in zip(names, values, strict=True)})


def _named(name: str) -> str:
    return json.dumps(name).replace("%", "%%")


def _printed(numbers: list[float]) -> list[str]:
    """Each as JSON has it; it reads back to the same bits."""
    return to_json(numbers, inf_nan_mode="null")[1:-1].decode().split(",")


def _told(values: NDArray[Any]) -> list[Any]:
    told: list[Any] = values.tolist()
    sound = np.isfinite(values)
    if sound.all():
        return told
    return [x if whole else None for x, whole in zip(told, sound, strict=True)]
