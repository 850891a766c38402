"""A part of the examples whose labels are read, before its inputs are prepared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .column import Prepared
from .examples import Examples
from .inputs import Inputs, Subset
from .labels import Labels
from .on_disk import Stored
from .preparation import Preparation
from .ragged import Padded
from .raw_part import RawPart
from .trees import Tree, leaves, map_tree
from .windows import Windows


@dataclass(frozen=True)
class ReadPart:
    """A part of the examples whose labels are read, before its inputs are prepared."""

    inputs: Tree[Inputs]
    labels: Tree[Inputs] | None
    weights: NDArray[np.float32] | None
    lengths: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls, raw: RawPart, labels: Tree[Labels] | None, number: int, *, streams: bool
    ) -> ReadPart:
        inputs = map_tree(lambda x: _loaded(x, streams=streams), raw.inputs)
        read = None
        if labels is not None:
            read = map_tree(lambda one: _loaded(one.parts[number], streams=streams), labels)
        weights = None if raw.weights is None else raw.weights.astype(np.float32)
        return cls(inputs, read, weights, raw.lengths)

    def __len__(self) -> int:
        return len(leaves(self.inputs)[0])

    def rows(self, row_index: NDArray[np.int64]) -> ReadPart:
        """Some of the examples."""
        return ReadPart(
            map_tree(lambda x: Subset(x, row_index), self.inputs),
            None if self.labels is None else map_tree(lambda y: _rows(y, row_index), self.labels),
            None if self.weights is None else self.weights[row_index],
            None if self.lengths is None else self.lengths[row_index],
        )

    def prepared(
        self, preparation: Preparation, labels: Tree[Labels] | None, *, streams: bool
    ) -> Examples:
        """The examples with their arrays prepared, or to be prepared as they are read."""

        def prepared(one: Prepared | None, array: Inputs) -> Any:
            if one is None:
                return array
            if streams:
                return Stored(array, one)
            return array.prepared(one) if isinstance(array, Windows) else one.apply(array[:])

        inputs = map_tree(prepared, preparation.inputs, self.inputs)
        if self.labels is None or labels is None:
            return Examples(inputs, inputs, self.weights, self.lengths)
        own_labels = map_tree(lambda one, y: prepared(one.preparation, y), labels, self.labels)
        return Examples(inputs, own_labels, self.weights, self.lengths)


def _rows(array: Inputs, row_index: NDArray[np.int64]) -> Inputs:
    """Some rows: of an array a copy, of what is read on demand still unread."""
    return array[row_index] if isinstance(array, np.ndarray) else Subset(array, row_index)


def _loaded(inputs: Inputs, *, streams: bool) -> Inputs:
    """The inputs in memory, or unread where they stream and can be read in parts."""
    if isinstance(inputs, Padded):
        return inputs  # whose rows are in memory, and are padded as they are read
    if isinstance(inputs, Windows):
        return inputs.loaded(streams=streams)
    if streams and not getattr(inputs, "reads_whole", False):
        return inputs
    return np.asanyarray(inputs[:])
