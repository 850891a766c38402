"""The images that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ..data import Data
from ..examples import Examples, Split
from ..facts import Facts
from ..preparation import Preparation

EMBEDDED = Path(__file__).parents[1] / "datasets"


class Mnist5k(Data):
    """5,000 real MNIST images, 28x28, 500 a class: 4,000 train and 1,000 test, stratified."""

    kind: Literal["mnist5k"] = "mnist5k"

    def facts(self) -> Facts:
        return Facts.of(examples=4000, shape=(28, 28, 1), classes=10)

    def load(self) -> Split:
        return _embedded("mnist5k", self.facts().shape, brightest=255.0)


class Digits(Data):
    """1,797 handwritten digits, 8x8: 1,438 train and 359 test, stratified; for quick trials."""

    kind: Literal["digits"] = "digits"

    def facts(self) -> Facts:
        return Facts.of(examples=1438, shape=(8, 8, 1), classes=10)

    def load(self) -> Split:
        return _embedded("digits", self.facts().shape, brightest=16.0)


def _embedded(name: str, shape: tuple[int, ...], brightest: float) -> Split:
    """Images that ship with the package, scaled to [0, 1]."""
    preparation = Preparation.of(shape, scale=(brightest,))
    with np.load(EMBEDDED / f"{name}.npz", allow_pickle=False) as arrays:
        train, test = (
            Examples(
                preparation.apply(arrays[f"{part}_inputs"]),
                arrays[f"{part}_labels"].astype(np.int32),
            )
            for part in ("train", "test")
        )
    return Split(train, test, preparation)
