"""A part of an experiment's data, in the form that a run has trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from schedules.declaration import ABSENT, refuse

from ..data import Examples, Preparation, Split
from ..data.input_preparation import InputPreparation
from ..data.on_disk import Stored
from ..data.preparation import Names
from ..data.trees import Tree, map_tree


def part_of(data: Split, part: str) -> Examples:
    """The examples of a part.

    Raises:
        Refused: when some of them come one after another, and are not there as a whole.
    """
    if data.stream is not None and part != "test":
        rule = f"holds examples of {data.stream.source.what}, which are read as training goes"
        raise refuse("--part", part, rule, "--part=test")
    if part != "all":
        return data.train if part == "train" else data.test

    def joined(one: Any, other: Any) -> Any:
        return np.concatenate([np.asarray(one), np.asarray(other)])

    train, test = data.train, data.test
    weights = None if train.weights is None else joined(train.weights, test.weights)
    inputs = map_tree(joined, train.inputs, test.inputs)
    given_back = train.labels is train.inputs
    labels = inputs if given_back else map_tree(joined, train.labels, test.labels)
    return Examples(inputs, labels, weights)


def as_the_run_had_it(examples: Examples, now: Preparation, run: Preparation) -> Examples:
    """The examples prepared as the run's own, and their classes numbered like its own.

    Raises:
        Refused: when they have other columns, or a class that the run knows nothing of.
    """
    if now.columns != run.columns:
        rule = f"has the columns {_listed(now.columns)}, and the run's were {_listed(run.columns)}"
        raise refuse("data", ABSENT, rule)
    inputs = map_tree(_prepared_anew, examples.inputs, now.inputs, run.inputs)
    if examples.labels is examples.inputs:
        return Examples(inputs, inputs, examples.weights)
    labels: Tree[Any] = examples.labels
    if isinstance(run.names, Mapping):
        assert isinstance(now.names, Mapping)
        assert isinstance(labels, Mapping)
        labels = {n: _numbered(labels[n], now.names[n], run.names[n]) for n in run.names}
    else:
        assert not isinstance(now.names, Mapping)
        labels = _numbered(labels, now.names, run.names)
    return Examples(inputs, labels, examples.weights)


def _prepared_anew(array: Any, now: InputPreparation, run: InputPreparation) -> Any:
    """An input prepared as the run's own was."""
    if now == run:
        return array
    return Stored(array.raw, run) if isinstance(array, Stored) else run.apply(now.undo(array))


def _numbered(labels: Any, now: Names, run: Names) -> Any:
    """Classes in the numbers that the run has for their names."""
    if now == run:
        return labels
    unknown = [name for name in now or ("numbers",) if name not in (run or ())]
    if unknown:
        rule = f"has classes that the run's has not: {_listed(unknown)}"
        raise refuse("data", ABSENT, rule, f"the run's are {_listed(run)}")
    assert now
    assert run
    return np.array([run.index(name) for name in now], np.int32)[labels]


def _listed(names: Sequence[str] | None) -> str:
    return ", ".join(names) if names else "not named"
