"""Random examples of any shape and number, drawn by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from schedules.declaration import Float32, Problem, Whole

from ..data import Data
from ..examples import Examples, Split
from ..facts import Facts
from ..preparation import Preparation

Size = Annotated[Whole, Field(ge=1)]


class Synthetic(Data):
    """Normal noise around a centre a class, or numbers that depend linearly on the inputs.

    With classes, an input is `centre[class] + noise * z`, where the centres and z are drawn from
    the standard normal distribution, as in scikit-learn's `make_blobs`; labels take turns. With
    `classes: null`, an input is z, and its label `z · w + noise * e` with weights w of mean square
    1 / size, as in `make_regression`. The same seed gives the same bits; test examples come from
    the same centres or weights.

    >>> small = Synthetic(shape=(3,), classes=2, examples=4, test_examples=2)
    >>> small.load().train.labels
    array([0, 1, 0, 1], dtype=int32)
    """

    kind: Literal["synthetic"] = "synthetic"
    examples: Size = 1000
    """How many training examples there are."""
    test_examples: Size = 200
    """How many test examples there are besides."""
    shape: Annotated[tuple[Size, ...], Field(min_length=1)] = (8,)
    """The shape of an input."""
    classes: Annotated[Whole, Field(ge=2)] | None = 4
    """How many classes there are; null for numbers to predict."""
    targets: Size = 1
    """How many numbers are to be predicted, where there are no classes."""
    noise: Annotated[Float32, Field(ge=0)] = 1.0
    """How far examples scatter; 0 makes them easy to tell."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Draws all of the examples."""

    def contradictions(self) -> Iterator[Problem]:
        if self.classes is not None and self.targets > 1:
            yield Problem("targets", self.targets, "needs classes=null", "data.classes=null")
        if self.classes is not None and self.classes > self.examples:
            rule = f"must not exceed the {self.examples} examples"
            yield Problem("classes", self.classes, rule, "data.examples=…")

    def facts(self) -> Facts:
        return Facts.of(self.examples, self.shape, self.classes, self.targets)

    def load(self) -> Split:
        # PCG64, with the methods that numpy promises to leave alone within a bit generator.
        random = np.random.Generator(np.random.PCG64(self.seed))
        total, size = self.examples + self.test_examples, int(np.prod(self.shape))
        if self.classes is not None:
            centres = random.standard_normal((self.classes, size), np.float32)
        else:
            weights = random.standard_normal((size, self.targets), np.float32)
            weights /= np.float32(np.sqrt(size))
        inputs = random.standard_normal((total, size), np.float32)
        noise = np.float32(self.noise)
        if self.classes is not None:
            labels = (np.arange(total) % self.classes).astype(np.int32)
            inputs = centres[labels] + noise * inputs
        else:
            error = random.standard_normal((total, self.targets), np.float32)
            # Not a matrix product, whose bits depend on how many cores the machine has.
            terms = (inputs[:, :, None] * weights).cumsum(axis=1, dtype=np.float32)[:, -1]
            labels = terms + noise * error
        inputs = inputs.reshape(total, *self.shape)
        train = Examples(inputs[: self.examples], labels[: self.examples])
        test = Examples(inputs[self.examples :], labels[self.examples :])
        return Split(train, test, Preparation.of(self.shape))
