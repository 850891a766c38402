"""Rows of different lengths among the raw examples, brought to one length each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, Refused, refuse

from .finite import check_finite
from .input_preparation import InputPreparation, Normalise, fit_input
from .inputs import Inputs, Subset
from .label_task import Override
from .ragged import Padded, Ragged, RaggedRows
from .raw_part import RawPart
from .trees import Tree, named_leaves

NORMALISED = ("scale", "standardise")
"""Whose formula has what is learnt of the data."""


@dataclass(frozen=True)
class Padder:
    """Pads what a data set has of rows of different lengths, as `ragged` declares."""

    ragged: Ragged | None
    normalise: Normalise
    override: Override

    def pad(self, parts: Sequence[RawPart]) -> list[RawPart]:
        """The same parts whose rows of several lengths have one, in all parts the same.

        Raises:
            Refused: when nothing says how, or no rows are of several lengths.
        """
        columns = {
            (what, name): [_leaf(part, what, name) for part in parts]
            for what in ("inputs", "labels")
            if getattr(parts[0], what) is not None
            for name, _ in named_leaves(getattr(parts[0], what))
        }
        padded = list(parts)
        any_is = False
        for (what, name), arrays in columns.items():
            if self._is_padded(what, name, arrays):
                any_is = True
                arrays = self._padded(what, name, arrays)
            elif isinstance(arrays[0], RaggedRows):
                arrays = [rows.dense() for rows in arrays]
            else:
                continue
            for i, array in enumerate(arrays):
                padded[i] = _with_leaf(padded[i], what, name, array)
        if self.ragged is not None and not any_is:
            rule = "is for rows of different lengths, and all have one"
            raise refuse("ragged", ABSENT, rule, "leave it out")
        return padded

    def _is_padded(self, what: str, name: str, arrays: Sequence[Any]) -> bool:
        """Whether an input or a label has rows of several lengths, or may have them elsewhere."""
        lengths = {n for one in arrays if isinstance(one, RaggedRows) for n in one.lengths.tolist()}
        if len(lengths) > 1 or (lengths and not all(isinstance(x, RaggedRows) for x in arrays)):
            return True
        if self.ragged is None or what == "labels":
            return False
        if isinstance(self.ragged.length, Mapping):
            return name in self.ragged.length
        is_row = len(arrays[0].shape) > 1 and not name and self.ragged.length != "longest"
        return bool(lengths) or is_row

    def _padded(self, what: str, name: str, arrays: Sequence[Any]) -> list[Any]:
        """The rows of one input or label in all parts."""
        path = f"{what}.{name}" if name else what
        rows = [_rows(path, array) for array in arrays]
        longest = max(int(one.lengths.max()) for one in rows)
        if self.ragged is None:
            shortest = min(int(one.lengths.min()) for one in rows)
            rule = f"has rows of {shortest} to {longest} steps, and must have one length"
            hint = self.override("ragged", "{length: longest}")
            raise refuse(path, ABSENT, rule, f"{hint} fills up the short ones")
        for one in rows:
            if one.dtype.kind == "f":
                steps = np.repeat(np.arange(len(one)), one.lengths)
                check_finite(path, "a value", one.values, row_index=steps)
        length = self.ragged.length_of(name if what == "inputs" else None, longest)
        if what == "labels":
            zero = replace(self.ragged.filling, value=0.0)
            return [Padded(one, length, zero, empty=False)[:] for one in rows]
        self._check_value(path, rows)
        empty = self.normalise in NORMALISED and all(one.dtype.kind == "f" for one in rows)
        return [Padded(one, length, self.ragged.filling, empty=empty) for one in rows]

    def _check_value(self, path: str, rows: Sequence[RaggedRows]) -> None:
        assert self.ragged is not None
        value = self.ragged.value
        of_ids = any(one.dtype.kind != "f" for one in rows)
        if of_ids:
            if value != int(value):
                raise self._refuse_value(f"is no whole number, and the values of {path} are")
        elif self.normalise in NORMALISED and value:
            raise self._refuse_value("is normalised with the data, unless it is 0")
        elif self.normalise == "pixels" and value:
            raise self._refuse_value("would be divided by 255 too, unless it is 0")

    def _refuse_value(self, rule: str) -> Refused:
        assert self.ragged is not None
        return refuse("ragged.value", self.ragged.value, rule, self.override("ragged.value", 0))


def fit_padded(
    normalise: Normalise, inputs: Inputs, shape: tuple[int, ...], dtype: str
) -> InputPreparation | None:
    """The preparation for padded training inputs, learnt of what they hold; None for others."""
    padded: Any = inputs.inputs if isinstance(inputs, Subset) else inputs
    if not isinstance(padded, Padded):
        return None
    rows = padded.rows[inputs.row_index] if isinstance(inputs, Subset) else padded.rows
    each = rows.values.shape[1:] or (1,)
    if rows.dtype.kind != "f":
        normalise = "none"  # whole numbers are ids
    learnt = fit_input(normalise, rows.values.reshape(-1, *each), each, dtype)
    fill: tuple[float | None, ...] | None = None
    if padded.is_empty:
        fill = learnt.shift  # what it fills up is 0 after the formula
    return replace(learnt, shape=shape, fill=fill, filling=padded.filling)


def _rows(path: str, array: Any) -> RaggedRows:
    """Rows of different lengths, or of one length that others have not."""
    if isinstance(array, RaggedRows):
        if not len(array) or not int(array.lengths.max()):
            raise refuse(path, ABSENT, "has rows of no steps alone")
        return array
    values: NDArray[Any] = np.asarray(array[:])
    if values.ndim < 2 or values.dtype.kind not in "biuf":
        raise refuse(path, ABSENT, "has rows of different lengths in one part, and no rows in one")
    splits = np.arange(len(values) + 1) * values.shape[1]
    return RaggedRows(values.reshape(-1, *values.shape[2:]), splits)


def _leaf(part: RawPart, what: str, name: str) -> Any:
    tree: Tree[Any] = getattr(part, what)
    return tree.get(name) if isinstance(tree, Mapping) else tree


def _with_leaf(part: RawPart, what: str, name: str, array: Any) -> RawPart:
    tree: Tree[Any] = getattr(part, what)
    changed = {**tree, name: array} if isinstance(tree, Mapping) else array
    return replace(part, inputs=changed) if what == "inputs" else replace(part, labels=changed)
