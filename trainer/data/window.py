"""Windows over time: some rows to learn from, and the next ones to predict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Declaration, Refused, Whole, refuse

from .held_out import HeldOut, RowIndex
from .inputs import Inputs
from .label_task import Override
from .raw_part import RawPart
from .trees import Tree, leaves, map_tree
from .windows import Windows

Steps = Annotated[Whole, Field(ge=1)]


class Window(Declaration):
    """Rows in the order of time, cut into windows: `length` rows to learn from, `horizon` after.

    Window i begins at row `i * stride` of its series. Its input is the rows `i * stride + k *
    sampling_rate` for k from 0 to `length - 1`, its label those for the next `horizon` of k. Such
    are `sequence_stride` and `sampling_rate` of `keras.utils.timeseries_dataset_from_array`.
    """

    length: Steps
    """How many rows an input has."""
    horizon: Steps = 1
    """How many rows after those a label has."""
    stride: Steps = 1
    """How many rows after one another windows begin."""
    sampling_rate: Steps = 1
    """How many rows after one another the rows of a window are."""

    @property
    def lookback(self) -> int:
        """How many rows before the first one of its label a window begins."""
        return self.length * self.sampling_rate

    @property
    def reach(self) -> int:
        """How many rows there are from the first one of a label to its last."""
        return (self.horizon - 1) * self.sampling_rate + 1

    @property
    def span(self) -> int:
        """How many rows there are from the first one of a window to the last of its label."""
        return self.lookback + self.reach

    def described(self) -> str:
        """The windows in words.

        >>> Window(length=48, horizon=12, sampling_rate=2).described()
        'of 48 rows, 2 apart, and the next 12 to predict; one begins at every row'
        """
        rate = f", {self.sampling_rate} apart," if self.sampling_rate > 1 else ""
        ahead = "one" if self.horizon == 1 else str(self.horizon)
        every = "every row" if self.stride == 1 else f"every {self.stride} rows"
        return f"of {self.length} rows{rate} and the next {ahead} to predict; one begins at {every}"

    def starts(self, lengths: Sequence[int]) -> RowIndex:
        """Where windows begin in series of these lengths, one set behind the other.

        >>> Window(length=2).starts([4, 2, 3]).tolist()
        [0, 1, 6]
        """
        ends = np.cumsum(lengths)
        starts = [
            np.arange(end - length, end - self.span + 1, self.stride)
            for end, length in zip(ends.tolist(), lengths, strict=True)
        ]
        return np.concatenate(starts).astype(np.int64)


@dataclass(frozen=True)
class Cutter:
    """Cuts the rows of a data set into windows; `override` writes hints."""

    window: Window
    override: Override

    def cut(
        self, train: RawPart, test: RawPart | None, held_out: HeldOut | None
    ) -> tuple[RawPart, RawPart]:
        """The windows that train, and those to evaluate by: of the last rows where none are given.

        No row of a training window is in the label of a test window, whose input may reach back.

        Raises:
            Refused: when there are too few rows, or no labels.
        """
        if train.labels is None:
            rule = "is for data with labels, of which it takes the next ones"
            hint = "the inputs may be the labels too: data=(series, series) in a program"
            raise refuse("window", ABSENT, rule, hint)
        if test is not None:
            return self._windows(train, self._whole(train)), self._windows(test, self._whole(test))
        share = held_out or HeldOut()
        of_train, of_test = [], []
        for name, row_index in _series(train):
            cut = len(row_index) - share.count(len(row_index))
            self._check_share(name, len(row_index), cut, share)
            of_train.append(row_index[:cut])
            of_test.append(row_index[cut - self.window.lookback :])
        return self._windows(train, of_train), self._windows(train, of_test)

    def latest(self, part: RawPart) -> Tree[Inputs]:
        """The window of the last rows of each series, whose label is not known yet.

        Raises:
            Refused: when a series has too few rows.
        """
        count, rate = self.window.lookback, self.window.sampling_rate
        few = 1 + (self.window.length - 1) * rate
        last = []
        for name, row_index in _series(part):
            if len(row_index) < few:
                rule = f"takes {few} rows one after another, and {_has(name)} {len(row_index)}"
                raise refuse("window.length", self.window.length, rule, "bring as many")
            last.append(row_index[::-1][:count:rate][::-1])
        row_index = np.stack(last)
        return map_tree(
            lambda x: np.asarray(x[row_index.ravel()]).reshape(*row_index.shape, *x.shape[1:]),
            part.inputs,
        )

    def is_too_short(self, part: RawPart) -> bool:
        """Whether no series has the rows of a window and of its label."""
        return all(len(row_index) < self.window.span for _, row_index in _series(part))

    def _whole(self, part: RawPart) -> list[RowIndex]:
        """All rows of each series."""
        for name, row_index in _series(part):
            if len(row_index) < self.window.span:
                raise self._too_few(name, len(row_index), len(row_index))
        return [row_index for _, row_index in _series(part)]

    def _check_share(self, name: str, whole: int, cut: int, share: HeldOut) -> None:
        """Checks that what trains has a window's rows, and what is held out those of a label."""
        reach = self.window.reach
        has_label = whole - cut >= reach
        if cut < self.window.span:
            raise self._too_few(name, cut, whole, may_be_shorter=has_label)
        if has_label:
            return
        rule = f"holds out {whole - cut} of the {whole} rows{_of(name)}, and a label is of {reach}"
        hint = "bring more rows"
        needed = math.ceil(reach / whole * 1000) / 1000
        if whole - HeldOut(fraction=needed).count(whole) >= self.window.span:
            hint = self.override("held_out.fraction", needed)
        raise refuse("held_out.fraction", share.fraction, rule, hint)

    def _too_few(
        self, name: str, count: int, whole: int, *, may_be_shorter: bool = True
    ) -> Refused:
        window = self.window
        rate = f", {window.sampling_rate} apart," if window.sampling_rate > 1 else ""
        has = f"{_has(name)} {whole}" + (f", of which {count} train" if whole != count else "")
        rule = f"and horizon {window.horizon}{rate} take {window.span} rows, and {has}"
        longest = (count - window.reach) // window.sampling_rate
        is_true = may_be_shorter and longest > 0
        hint = self.override("window.length", longest) if is_true else "bring more rows"
        return refuse("window.length", window.length, rule, hint)

    def _windows(self, part: RawPart, series: Sequence[RowIndex]) -> RawPart:
        """A part of the windows; labels in memory, inputs as they are read."""
        window = self.window
        starts = window.starts([len(rows) for rows in series])
        row_index = np.concatenate(series)
        offsets = np.arange(window.length) * window.sampling_rate
        ahead = window.lookback + np.arange(window.horizon) * window.sampling_rate
        of_label = row_index[starts[:, None] + ahead]
        rows = _as_slice(row_index)
        weights = None if part.weights is None else part.weights[of_label].mean(axis=1)
        assert part.labels is not None
        labels: Tree[Inputs] = map_tree(lambda y: _label(np.asarray(y[:])[of_label]), part.labels)
        inputs: Tree[Inputs] = map_tree(lambda x: Windows(x, rows, starts, offsets), part.inputs)
        return RawPart(inputs, labels, weights)


def _series(part: RawPart) -> Iterator[tuple[str, RowIndex]]:
    """Yields the rows of each series in their order; without a name where there is one only."""
    if part.series is None:
        yield "", np.arange(len(leaves(part.inputs)[0]))
        return
    order = np.argsort(part.series.codes, kind="stable")
    counts = np.bincount(part.series.codes, minlength=len(part.series.names))
    ends = np.cumsum(counts).tolist()
    for name, end, count in zip(part.series.names, ends, counts.tolist(), strict=True):
        yield name, order[end - count : end]


def _as_slice(row_index: RowIndex) -> slice | RowIndex:
    """Rows that follow one another as a slice, which copies nothing."""
    first, last = int(row_index[0]), int(row_index[-1])
    if last - first + 1 == len(row_index) and (np.diff(row_index) == 1).all():
        return slice(first, last + 1)
    return row_index


def _label(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels `[n, horizon, ...]` as one of each window, or as rows `[n, horizon * k]`."""
    if labels.shape[1] == 1:
        return labels[:, 0]
    return labels.reshape(len(labels), -1) if labels.ndim == 3 else labels


def _of(name: str) -> str:
    return f" of the series {name}" if name else ""


def _has(name: str) -> str:
    return f"the series {name} has" if name else "there are"
