"""The examples of a part as the data has them, nothing of them changed, and what they must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

from .inputs import Inputs
from .trees import Tree, leaves, named_leaves


class Series(NamedTuple):
    """The series that rows belong to."""

    names: Sequence[str]
    codes: NDArray[np.integer[Any]]
    """Which of the names each row has, `[n]`."""


@dataclass(frozen=True)
class RawPart:
    """Raw inputs and their labels, as the data has them."""

    inputs: Tree[Inputs]
    """One array, or several by name."""
    labels: Tree[Inputs] | None
    """One array, or several by name; None where the inputs themselves are to be given back."""
    weights: NDArray[Any] | None = None
    """What each example counts for, where the data says so."""
    series: Series | None = None
    """Which series each row belongs to, where there are several in the order of time."""
    lengths: NDArray[np.int64] | None = None
    """How many steps each example has, where batches are of those of like lengths."""

    def __len__(self) -> int:
        return len(leaves(self.inputs)[0])


def check_part(name: str, part: RawPart, train: RawPart) -> None:
    """Checks that a part has a label for each input, and numbers of the training part's shape.

    Raises:
        Refused: under the part's `name`, with what it has.
    """
    trees = [("inputs", part.inputs), ("labels", part.labels), ("weights", part.weights)]
    counts = {
        (f"{what} {leaf}" if leaf else what): len(array)
        for what, tree in trees
        if tree is not None
        for leaf, array in named_leaves(tree)
    }
    if 0 in counts.values():
        raise refuse(name, ABSENT, "has no examples")
    if len(set(counts.values())) > 1:
        listed = " and ".join(f"{count} {what}" for what, count in counts.items())
        raise refuse(name, ABSENT, f"has {listed}", "give each input one label")
    for what, of_part, of_train in (
        ("inputs", part.inputs, train.inputs),
        ("labels", part.labels, train.labels),
        ("weights", part.weights, train.weights),
    ):
        here, there = _names(of_part), _names(of_train)
        if here != there:
            listed, train_listed = ", ".join(here) or "none", ", ".join(there) or "none"
            rule = f"has the {what} {listed}, and train has {train_listed}"
            raise refuse(name, ABSENT, rule)
    for leaf, inputs in named_leaves(part.inputs):
        first = dict(named_leaves(train.inputs))[leaf]
        what = f"inputs {leaf}" if leaf else "inputs"
        if inputs.dtype.kind not in "biufOSU":
            rule = f"has {what} of type {inputs.dtype}, and must have numbers"
            raise refuse(name, ABSENT, rule)
        if inputs.shape[1:] != first.shape[1:]:
            shape, train_shape = list(inputs.shape[1:]), list(first.shape[1:])
            raise refuse(name, ABSENT, f"has {what} of shape {shape}, and train has {train_shape}")
        if 0 in inputs.shape:
            raise refuse(name, ABSENT, f"has {what} of shape {list(inputs.shape[1:])}: no numbers")
    if part.weights is not None:
        _check_weights(name, part.weights)


def _names(tree: Tree[Any] | None) -> list[str]:
    return [] if tree is None else sorted(name or "one" for name, _ in named_leaves(tree))


def _check_weights(name: str, weights: NDArray[Any]) -> None:
    """Checks that every example has a weight from 0 on, and some have one above."""
    if weights.ndim != 1 or weights.dtype.kind not in "biuf":
        rule = f"has weights of type {weights.dtype} and shape {list(weights.shape[1:])}"
        raise refuse(name, ABSENT, rule, "one number for each example")
    unfit = ~(np.isfinite(weights) & (weights >= 0))
    if unfit.any():
        i = int(unfit.argmax())
        raise refuse(name, ABSENT, f"has the weight {weights[i]} in example {i}", "from 0 on")
    if not weights.any():
        raise refuse(name, ABSENT, "has weights that are all 0, from which nothing is learnt")
