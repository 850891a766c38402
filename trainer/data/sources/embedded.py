"""The images that ship with the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..data import Data
from ..examples import Examples, Split
from ..facts import Facts
from ..preparation import Preparation

EMBEDDED = Path(__file__).parents[1] / "datasets"


class Embedded(Data):
    """Images that ship with the package."""

    labels: Literal["classes", "inputs"] = "classes"
    """What is learnt: the classes of the images, or the images themselves, to be given back."""

    def _facts(self, examples: int, side: int) -> Facts:
        facts = Facts.of(examples, (side, side, 1), classes=10)
        return facts if self.labels == "classes" else replace(facts, labels=facts.inputs)

    def _split(self, name: str, brightest: float) -> Split:
        """The images, scaled to [0, 1]."""
        preparation = Preparation.of(self.facts().shape, scale=(brightest,))

        def examples(part: str) -> Examples:
            inputs = preparation.apply(arrays[f"{part}_inputs"])
            if self.labels == "inputs":
                return Examples(inputs, inputs)
            return Examples(inputs, arrays[f"{part}_labels"].astype(np.int32))

        with np.load(EMBEDDED / f"{name}.npz", allow_pickle=False) as arrays:
            train, test = examples("train"), examples("test")
        return Split(train, test, preparation)


class Mnist5k(Embedded):
    """5,000 real MNIST images, 28x28, 500 a class: 4,000 train and 1,000 test, stratified."""

    kind: Literal["mnist5k"] = "mnist5k"

    def facts(self) -> Facts:
        return self._facts(4000, 28)

    def load(self) -> Split:
        return self._split("mnist5k", brightest=255.0)


class Digits(Embedded):
    """1,797 handwritten digits, 8x8: 1,438 train and 359 test, stratified; for quick trials."""

    kind: Literal["digits"] = "digits"

    def facts(self) -> Facts:
        return self._facts(1438, 8)

    def load(self) -> Split:
        return self._split("digits", brightest=16.0)
