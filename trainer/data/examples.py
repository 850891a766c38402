"""Examples in memory, what is known of them beforehand, and what can't be learnt from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse, within

from .on_disk import Stored
from .preparation import Preparation, pieces

LOOKED_AT_ALL = 2**30
"""The bytes of inputs up to which a fingerprint is of all of them."""
WITNESSES = 4096
"""How many it is of where there are more."""


class Facts(NamedTuple):
    """What a model, a loss and a clock need to know of the data before it is loaded."""

    examples: int
    """How many examples train: what the clock calls an epoch."""
    shape: tuple[int, ...]
    """The shape of one input."""
    classes: int | None = None
    """How many classes the labels name, from 0 on; None where labels are numbers to predict."""
    targets: int = 1
    """How many numbers a label is, where it names no class."""

    @property
    def task(self) -> Literal["classes", "numbers"]:
        """What the labels are."""
        return "numbers" if self.classes is None else "classes"

    @property
    def outputs(self) -> int:
        """What a model gives for one input: a logit a class, or as many numbers as a label has.

        >>> Facts(4000, (28, 28, 1), classes=10).outputs, Facts(506, (13,)).outputs
        (10, 1)
        """
        return self.targets if self.classes is None else self.classes


@dataclass(frozen=True)
class Examples:
    """Inputs `[n, ...]` in float32, and labels: `[n]` in int32, or `[n, targets]` in float32."""

    inputs: NDArray[np.float32] | Stored
    labels: NDArray[np.int32] | NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def check(self, name: str, facts: Facts) -> None:
        """Refuses, as the part called `name`, what can't be learnt from."""
        if not len(self):
            raise refuse(name, ABSENT, "has no examples")
        if len(self.inputs) != len(self):
            rule = f"has {len(self.inputs)} inputs and {len(self)} labels"
            raise refuse(name, ABSENT, rule, "give each input one label")
        if self.inputs.shape[1:] != facts.shape:
            rule = f"has inputs of shape {list(self.inputs.shape[1:])}, not {list(facts.shape)}"
            raise refuse(name, ABSENT, rule)
        if not isinstance(self.inputs, Stored):  # those are looked at when they are read
            _check_finite(name, "a value", self.inputs)
        if facts.classes is None:
            if self.labels.shape[1:] != (facts.targets,):
                rule = f"has labels of shape {list(self.labels.shape[1:])}, not [{facts.targets}]"
                raise refuse(name, ABSENT, rule)
            _check_finite(name, "a label", self.labels)
            return
        out = (self.labels < 0) | (self.labels >= facts.classes)
        if out.any():
            i = int(out.argmax())
            rule = f"has label {self.labels[i]} in example {i}, outside 0 to {facts.classes - 1}"
            raise refuse(name, ABSENT, rule, "number the classes from 0 on")


def _check_finite(name: str, what: str, values: NDArray[np.generic]) -> None:
    odd = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if odd.any():
        rule = f"has {what} that is not finite, in example {odd.argmax()}"
        raise refuse(name, ABSENT, rule, "clean the data; training would only spread it")


@dataclass(frozen=True)
class Split:
    """The examples that train, and those held out to evaluate."""

    train: Examples
    test: Examples
    preparation: Preparation
    """What the raw inputs went through to become these."""

    def check(self, facts: Facts) -> None:
        """Whether the examples are what was known of them, and can be learnt from.

        Raises:
            Refused: naming the part and the first example at fault.
        """
        for name, part in (("train", self.train), ("test", self.test)):
            with within("data"):
                part.check(name, facts)

    @cached_property
    def digest(self) -> str:
        """A fingerprint of the values, to tell whether two runs saw the same data.

        Of all labels, and of all inputs as they are prepared; where these take more than a
        gigabyte, of 4,096 of them that lie evenly apart, so that a change of a few others goes
        unnoticed. Dates of files don't count: a copy is the same data.
        """
        found = sha256()
        for examples in (self.train, self.test):
            inputs, labels = examples.inputs, examples.labels
            found.update(f"{inputs.dtype}{inputs.shape}".encode())
            for piece in _witnesses(inputs):
                found.update(np.ascontiguousarray(piece).data)
            found.update(f"{labels.dtype}{labels.shape}".encode())
            found.update(np.ascontiguousarray(labels).data)
        return found.hexdigest()


def _witnesses(inputs: NDArray[np.float32] | Stored) -> Iterator[NDArray[np.float32]]:
    """The inputs that a fingerprint is taken of."""
    if math.prod(inputs.shape) * 4 <= LOOKED_AT_ALL:
        yield from pieces(inputs)
        return
    chosen = np.linspace(0, len(inputs) - 1, WITNESSES).astype(np.int64)
    for start in range(0, WITNESSES, 64):
        yield inputs[chosen[start : start + 64]]
