"""What a network learns from: declared kinds of data, loaded as numpy arrays."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Kind, Whole
from schedules.refusal import ABSENT, refuse, within

EMBEDDED = Path(__file__).parent / "datasets"


@dataclass(frozen=True)
class Examples:
    """Inputs `[n, ...]` in float32 and labels `[n]` in int32."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int32]

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
        odd = ~np.isfinite(self.inputs).reshape(len(self), -1).all(axis=1)
        if odd.any():
            rule = f"has a value that is not finite, in example {odd.argmax()}"
            raise refuse(name, ABSENT, rule, "clean the data; training would only spread it")
        out = (self.labels < 0) | (self.labels >= facts.classes)
        if out.any():
            i = int(out.argmax())
            rule = f"has label {self.labels[i]} in example {i}, outside 0 to {facts.classes - 1}"
            raise refuse(name, ABSENT, rule, "number the classes from 0 on")


@dataclass(frozen=True)
class Split:
    """The examples that train, and those held out to evaluate."""

    train: Examples
    test: Examples

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
        """A fingerprint of all the values, to tell whether two runs saw the same data."""
        found = sha256()
        for examples in (self.train, self.test):
            for array in (examples.inputs, examples.labels):
                found.update(f"{array.dtype}{array.shape}".encode())
                found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


class Facts(NamedTuple):
    """What a model and a clock need to know of the data before it is loaded."""

    examples: int
    """How many examples train: what the clock calls an epoch."""
    shape: tuple[int, ...]
    """The shape of one input."""
    classes: int
    """How many classes the labels name, from 0 on."""


class Data(Kind, family=True):
    """A data set for classification, and how many of its examples make one update."""

    batch_size: Annotated[Whole, Field(ge=1)] = 64
    """Examples an update."""

    @abstractmethod
    def facts(self) -> Facts:
        """What is known before loading."""

    @abstractmethod
    def load(self) -> Split:
        """The examples, normalised."""


class Mnist5k(Data):
    """5,000 real MNIST images, 28x28, 500 a class: 4,000 train and 1,000 test, stratified."""

    kind: Literal["mnist5k"] = "mnist5k"

    def facts(self) -> Facts:
        return Facts(examples=4000, shape=(28, 28, 1), classes=10)

    def load(self) -> Split:
        return _embedded("mnist5k", brightest=255)


class Digits(Data):
    """1,797 handwritten digits, 8x8: 1,438 train and 359 test, stratified; for quick trials."""

    kind: Literal["digits"] = "digits"

    def facts(self) -> Facts:
        return Facts(examples=1438, shape=(8, 8, 1), classes=10)

    def load(self) -> Split:
        return _embedded("digits", brightest=16)


def _embedded(name: str, brightest: int) -> Split:
    """Images that ship with the package, scaled to [0, 1]."""
    with np.load(EMBEDDED / f"{name}.npz", allow_pickle=False) as arrays:
        train, test = (
            Examples(
                arrays[f"{part}_inputs"].astype(np.float32) / np.float32(brightest),
                arrays[f"{part}_labels"].astype(np.int32),
            )
            for part in ("train", "test")
        )
    return Split(train, test)
