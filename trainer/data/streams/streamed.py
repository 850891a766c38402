"""The examples of a stream as a network and a loss take them, item by item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, refuse

from ..examples import Examples
from ..facts import Facts
from ..finite import check_finite
from ..labels import Labels
from ..preparation import Preparation
from ..raw_part import RawPart
from ..trees import Tree, leaves, map_tree, named_leaves
from .source import Source


@dataclass(frozen=True)
class RawStream:
    """A source whose items are told apart: single examples, or batches of any size."""

    source: Source
    is_single: bool
    """Whether an item is one example."""
    convert: Callable[[Any], RawPart]
    """Reads arrays `[n, ...]` of the structure of an item."""
    path: str
    value: object
    """The override to refuse by."""

    def part(self, item: Any) -> RawPart:
        """The examples of an item, as they are."""
        return self.convert(map_arrays(alone, item) if self.is_single else item)

    def refuse(self, rule: str, hint: str = "") -> Refused:
        """The refusal of what the source gives."""
        return refuse(self.path, self.value, rule, hint)


@dataclass(frozen=True)
class Streamed:
    """A stream with what is known of its examples."""

    raw: RawStream
    facts: Facts
    labels: Tree[Labels] | None
    """What tells how labels are read; None where the inputs are to be given back."""
    preparation: Preparation

    @property
    def source(self) -> Source:
        return self.raw.source

    def examples(self, item: Any, first: int) -> Examples:
        """The examples of an item, prepared; the first of them is example `first` of the stream.

        Raises:
            Refused: when they are not of the sort that the stream began with, or not finite.
        """
        part = self.raw.part(item)
        self._check(part, first)
        row_index = first + np.arange(len(part))
        inputs: Tree[NDArray[Any]] = map_tree(
            lambda one, x: one.apply(np.asarray(x)), self.preparation.inputs, part.inputs
        )
        for _, array in named_leaves(inputs):
            if array.dtype.kind == "f":
                check_finite(self.raw.path, "a value", array, self.raw.value, row_index)
        labels: Tree[NDArray[Any]] = inputs
        if self.labels is not None:
            override = self.raw.path, self.raw.value
            labels = map_tree(lambda one, y: one.alike(y, *override), self.labels, part.labels)
        weights = None
        if part.weights is not None:
            weights = part.weights.astype(np.float32)
            if not (np.isfinite(weights) & (weights >= 0)).all():
                rule = f"gives a weight that is no number from 0 on, from example {first} on"
                raise self.raw.refuse(rule)
        return Examples(inputs, labels, weights)

    def _check(self, part: RawPart, first: int) -> None:
        trees = (
            ("inputs", part.inputs, self.facts.inputs),
            ("labels", part.labels, self.facts.labels if self.labels is not None else None),
        )
        for what, tree, features in trees:
            if _names(tree) != _names(features):
                rule = f"gives other {what} in example {first} than before"
                raise self.raw.refuse(rule, "give every example the same structure")
        if (part.weights is not None) != self.facts.weighted:
            raise self.raw.refuse(f"gives weights for some examples only: see example {first}")
        arrays = [*leaves(part.inputs), *(leaves(part.labels) if part.labels is not None else ())]
        if len({len(array) for array in arrays}) > 1:
            lengths = " and ".join(str(len(array)) for array in arrays)
            raise self.raw.refuse(f"gives arrays of {lengths} in a batch, from example {first} on")
        for name, feature in named_leaves(self.facts.inputs):
            array = dict(named_leaves(part.inputs))[name]
            if int(np.prod(array.shape[1:])) != int(np.prod(feature.shape)):
                shape, wanted = list(array.shape[1:]), list(feature.shape)
                rule = f"gives inputs of shape {shape} in example {first}, and gave {wanted} before"
                raise self.raw.refuse(rule, "bring all to one shape")


def map_arrays(function: Callable[[NDArray[Any]], NDArray[Any]], item: Any) -> Any:
    """The structure of an item with `function` of each array; a list of numbers is an array."""
    if isinstance(item, Mapping):
        return {name: map_arrays(function, value) for name, value in item.items()}
    if isinstance(item, tuple):
        return tuple(map_arrays(function, value) for value in item)
    if isinstance(item, list) and item and all(np.ndim(value) for value in item):
        return [map_arrays(function, value) for value in item]
    return item if item is None else function(np.asarray(item))


def join_arrays(items: Sequence[Any]) -> Any:
    """One item of the examples of several, which have the structure of the first."""
    first = items[0]
    if isinstance(first, Mapping):
        return {name: join_arrays([item[name] for item in items]) for name in first}
    is_list = isinstance(first, list) and all(map(np.ndim, first))
    if isinstance(first, tuple) or is_list:
        return tuple(join_arrays(parts) for parts in zip(*items, strict=True))
    return None if first is None else np.concatenate(list(map(np.asarray, items)))


def alone(array: NDArray[Any]) -> NDArray[Any]:
    """An example as a batch of one."""
    return array[None]


def _names(tree: Tree[Any] | None) -> list[str]:
    return [] if tree is None else sorted(name or "one" for name, _ in named_leaves(tree))
