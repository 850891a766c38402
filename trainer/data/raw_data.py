"""Data that users bring: raw inputs and labels, made into examples to train and evaluate by."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from math import prod
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Problem, Whole, refuse

from .data import Data
from .examples import Examples, Facts, Split
from .files import shape_of
from .held_out import HeldOut
from .inputs import Inputs, Subset
from .labels import Labels, Task, understood
from .on_disk import Stored, fits
from .preparation import Normalise, fitted


class RawPart(NamedTuple):
    """Raw inputs and their labels, as they are found."""

    inputs: Inputs
    labels: NDArray[Any]


class RawExamples(NamedTuple):
    """What a data set was found to hold, nothing of it changed."""

    train: RawPart
    test: RawPart | None
    """What is evaluated by; None where that is to be held out of the rest."""
    columns: tuple[str, ...] | None = None
    """What the entries of an input are called, where that is known."""
    names: tuple[str, ...] | None = None
    """What the classes 0, 1, 2 … are called, where the data says so."""

    @property
    def parts(self) -> list[RawPart]:
        return [self.train] if self.test is None else [self.train, self.test]


class RawData(Data):
    """Raw inputs with a label each, some of them to be held out, all of them to be prepared."""

    task: Task = "auto"
    """Whether labels name classes or are numbers to predict; `auto`: fractions are numbers."""
    classes: Annotated[Whole, Field(ge=2)] | None = None
    """How many classes there are; null for as many as are met."""
    shape: Annotated[tuple[Annotated[Whole, Field(ge=1)], ...], Field(min_length=1)] | None = None
    """The shape that an input is given, such as [28, 28, 1]; null for the one it has."""
    normalise: Normalise = "none"
    """How inputs are brought to a size to train on; worked out on the training part alone."""
    held_out: HeldOut | None = None
    """What is held out to evaluate by; null for a fifth, or for none where tests are given."""

    @abstractmethod
    def found(self) -> RawExamples:
        """What is there: labels in memory, inputs where they are until they are read.

        Raises:
            Refused: when a file is missing, or holds something else.
        """

    @property
    @abstractmethod
    def labelled(self) -> tuple[str, object]:
        """The override that says where labels are: its path and its value."""

    def facts(self) -> Facts:
        return self.known[2]

    def load(self) -> Split:
        found, labels, facts = self.known
        streams = self._streams()
        inputs, *more = (_at_hand(part.inputs, streams) for part in found.parts)
        chosen: list[tuple[Inputs, NDArray[Any]]]
        if found.test is None:
            classes = None if labels.classes is None else labels.parts[0].astype(np.int32)
            numbers = (self.held_out or HeldOut()).parts(len(labels.parts[0]), classes)
            chosen = [(Subset(inputs, n), labels.parts[0][n]) for n in numbers]
        else:
            chosen = list(zip((inputs, *more), labels.parts, strict=True))
        preparation = fitted(self.normalise, chosen[0][0], facts.shape)
        preparation = preparation.called(labels.names or found.names, found.columns)
        train, test = (
            Examples(Stored(raw, preparation) if streams else preparation.apply(raw[:]), label)
            for raw, label in chosen
        )
        return Split(train, test, preparation)

    def _streams(self) -> bool:
        """Whether the inputs stay where they are."""
        if self.keep != "auto":
            return self.keep == "stream"
        parts, shape = self.known[0].parts, self.known[2].shape
        return not fits(sum(len(part.inputs) for part in parts) * prod(shape))

    def given(self) -> bool:
        """Whether the data brings test examples of its own."""
        return False

    def contradictions(self) -> Iterator[Problem]:
        if self.held_out and self.given():
            rule = "is not needed, since test examples are given"
            yield Problem("held_out", ABSENT, rule, "leave out one of the two")
        if self.classes is not None and self.task == "regression":
            rule = "is of no use to task=regression"
            yield Problem("classes", self.classes, rule, "leave it out")

    @cached_property
    def known(self) -> tuple[RawExamples, Labels, Facts]:
        """What was found, what its labels mean, and the facts; looked up once."""
        found = self.found()
        for name, part in zip(("train", "test"), found.parts, strict=False):
            _check(name, part, found.train)
        path, value = self.labelled
        classes = self.classes
        if classes is None and found.names and self.task != "regression":
            classes = len(found.names)
        raw = [part.labels for part in found.parts]
        labels = understood(raw, path, value, self.task, classes)
        shape = shape_of("inputs", tuple(found.train.inputs.shape[1:]), self.shape)
        examples = len(labels.parts[0])
        if found.test is None:
            held = round(examples * (self.held_out or HeldOut()).fraction)
            if not 0 < held < examples:
                rule = f"would hold out {held} of {examples} examples"
                raise refuse("held_out.fraction", ABSENT, rule, "bring more, or another share")
            examples -= held
        return found, labels, Facts(examples, shape, labels.classes, labels.targets)


def _at_hand(inputs: Inputs, streams: bool) -> Inputs:
    """The inputs in memory, unless they stream from where they are."""
    if streams and not getattr(inputs, "whole", False):
        return inputs
    return np.asanyarray(inputs[:])


def _check(name: str, part: RawPart, train: RawPart) -> None:
    """Whether a part is made of as many inputs as labels, in numbers, of one shape with others."""
    inputs, labels = part
    if not len(labels):
        raise refuse(name, ABSENT, "has no examples")
    if len(inputs) != len(labels):
        rule = f"has {len(inputs)} inputs and {len(labels)} labels"
        raise refuse(name, ABSENT, rule, "give each input one label")
    if inputs.dtype.kind not in "biuf":
        raise refuse(name, ABSENT, f"has inputs of type {inputs.dtype}, and must have numbers")
    if inputs.shape[1:] != train.inputs.shape[1:]:
        wanted, found = list(train.inputs.shape[1:]), list(inputs.shape[1:])
        raise refuse(name, ABSENT, f"has inputs of shape {found}, and train has {wanted}")
    if 0 in inputs.shape:
        raise refuse(name, ABSENT, f"has inputs of shape {list(inputs.shape[1:])}: no numbers")
