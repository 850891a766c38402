"""Data that users bring: raw inputs and labels, made into training and test examples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Problem, Whole, refuse

from .data import Data
from .examples import Examples, Split
from .facts import Facts
from .files import input_shape
from .held_out import HeldOut
from .inputs import Inputs, Subset
from .labels import Labels, Task, read_labels
from .on_disk import Stored
from .preparation import Normalise, fit_preparation


class RawPart(NamedTuple):
    """Raw inputs and their labels, as the data has them."""

    inputs: Inputs
    labels: NDArray[Any]


class RawExamples(NamedTuple):
    """The examples of a data set as they are stored, nothing of them changed."""

    train: RawPart
    test: RawPart | None
    """The test examples; None where some of `train` are to be held out."""
    columns: tuple[str, ...] | None = None
    """The names of an input's entries, where the data has them."""
    names: tuple[str, ...] | None = None
    """The names of the classes 0, 1, 2 …, where the data has them."""

    @property
    def parts(self) -> list[RawPart]:
        """The training part, and the test part where there is one."""
        return [self.train] if self.test is None else [self.train, self.test]


class Contents(NamedTuple):
    """What a data set holds, known before its inputs are loaded."""

    raw: RawExamples
    labels: Labels
    facts: Facts


class RawData(Data):
    """Raw inputs with a label each; some may be held out, and all are prepared.

    A kind of data declares its fields and says how to `read` them; the rest follows.
    """

    task: Task = "auto"
    """Whether labels name classes or are numbers to predict; `auto`: fractions are numbers."""
    classes: Annotated[Whole, Field(ge=2)] | None = None
    """How many classes there are; null for as many as are met."""
    shape: Annotated[tuple[Annotated[Whole, Field(ge=1)], ...], Field(min_length=1)] | None = None
    """The shape that an input is given, such as [28, 28, 1]; null for the one it has."""
    normalise: Normalise = "none"
    """How inputs are brought to a size to train on; worked out on the training part alone."""
    held_out: HeldOut | None = None
    """What is held out to evaluate by; null for a fifth, or for none if there are tests."""

    @abstractmethod
    def read(self) -> RawExamples:
        """The raw examples: labels in memory, inputs in memory or on disk.

        Raises:
            Refused: when a file is missing, or holds something else.
        """

    @property
    @abstractmethod
    def labels_override(self) -> tuple[str, object]:
        """The override that says where labels are: its path and its value."""

    def facts(self) -> Facts:
        return self.contents.facts

    def known_labels(self) -> NDArray[np.int32] | NDArray[np.float32] | None:
        return self.contents.labels.parts[0]

    def load(self) -> Split:
        raw, labels, facts = self.contents
        streams = self.streams(sum(len(part.inputs) for part in raw.parts) * prod(facts.shape))
        inputs = [_loaded(part.inputs, streams=streams) for part in raw.parts]
        parts: list[tuple[Inputs, NDArray[Any]]]
        if raw.test is None:
            classes = None if labels.classes is None else labels.parts[0].astype(np.int32)
            row_indices = (self.held_out or HeldOut()).parts(len(labels.parts[0]), classes)
            parts = [(Subset(inputs[0], rows), labels.parts[0][rows]) for rows in row_indices]
        else:
            parts = list(zip(inputs, labels.parts, strict=True))
        preparation = fit_preparation(self.normalise, parts[0][0], facts.shape)
        preparation = preparation.with_names(labels.names, raw.columns)
        train, test = (
            Examples(Stored(x, preparation) if streams else preparation.apply(x[:]), y)
            for x, y in parts
        )
        return Split(train, test, preparation)

    def has_test_part(self) -> bool:
        """Whether the data has test examples of its own."""
        return False

    def contradictions(self) -> Iterator[Problem]:
        if self.held_out and self.has_test_part():
            rule = "is not needed, since test examples are given"
            yield Problem("held_out", ABSENT, rule, "leave out one of the two")
        if self.classes is not None and self.task == "regression":
            rule = "is of no use to task=regression"
            yield Problem("classes", self.classes, rule, "leave it out")

    @cached_property
    def contents(self) -> Contents:
        """The raw examples, their labels as a loss takes them, and the facts; read once.

        Raises:
            Refused: when the examples can't be read or learnt from.
        """
        raw = self.read()
        for name, part in zip(("train", "test"), raw.parts, strict=False):
            _check_part(name, part, raw.train)
        path, value = self.labels_override
        classes = self.classes
        if classes is None and raw.names and self.task != "regression":
            classes = len(raw.names)
        raw_labels = [part.labels for part in raw.parts]
        labels = read_labels(raw_labels, path, value, self.task, classes)
        if labels.classes is not None and labels.names is None:
            labels = replace(labels, names=raw.names)
        shape = input_shape("inputs", tuple(raw.train.inputs.shape[1:]), self.shape)
        examples = len(labels.parts[0])
        if raw.test is None:
            count = (self.held_out or HeldOut()).count(examples)
            if not 0 < count < examples:
                rule = f"would hold out {count} of {examples} examples"
                raise refuse("held_out.fraction", ABSENT, rule, "bring more, or another share")
            examples -= count
        return Contents(raw, labels, Facts(examples, shape, labels.classes, labels.targets))


def _loaded(inputs: Inputs, *, streams: bool) -> Inputs:
    """The inputs in memory, or unread where they stream and can be read in parts."""
    if streams and not getattr(inputs, "reads_whole", False):
        return inputs
    return np.asanyarray(inputs[:])


def _check_part(name: str, part: RawPart, train: RawPart) -> None:
    """Checks that a part has a label for each input, and numbers of the training part's shape."""
    inputs, labels = part
    if not len(labels):
        raise refuse(name, ABSENT, "has no examples")
    if len(inputs) != len(labels):
        rule = f"has {len(inputs)} inputs and {len(labels)} labels"
        raise refuse(name, ABSENT, rule, "give each input one label")
    if inputs.dtype.kind not in "biuf":
        raise refuse(name, ABSENT, f"has inputs of type {inputs.dtype}, and must have numbers")
    if inputs.shape[1:] != train.inputs.shape[1:]:
        shape, train_shape = list(inputs.shape[1:]), list(train.inputs.shape[1:])
        raise refuse(name, ABSENT, f"has inputs of shape {shape}, and train has {train_shape}")
    if 0 in inputs.shape:
        raise refuse(name, ABSENT, f"has inputs of shape {list(inputs.shape[1:])}: no numbers")
