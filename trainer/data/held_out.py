"""Which examples are held out of training, to evaluate by."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Declaration, Number, Whole

RowIndex = NDArray[np.int64]
"""The numbers of some examples."""


class HeldOut(Declaration):
    """A share of the examples, drawn by a seed of its own: every `run.seed` has the same tests."""

    fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.2
    """The share of the examples that is held out."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Draws which ones."""

    def parts(self, examples: int, classes: NDArray[np.int32] | None) -> tuple[RowIndex, RowIndex]:
        """The numbers of the examples that train, and of those held out, each in ascending order.

        With `classes`, the class of each example, the split is stratified: every class has its
        share in both parts, as nearly as whole examples allow.

        >>> train, test = HeldOut(fraction=0.25).parts(8, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
        >>> len(train), (test // 4).tolist()
        (6, [0, 1])
        """
        random = np.random.Generator(np.random.Philox(key=[self.seed, 0]))
        order = random.permutation(examples)
        count = self.count(examples)
        if classes is not None:
            order = order[_stratified(classes[order])]
        is_held_out = np.zeros(examples, np.bool_)
        is_held_out[order[:count]] = True
        return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)

    def count(self, examples: int) -> int:
        """How many of so many examples are held out."""
        return round(examples * self.fraction)


def _stratified(classes: NDArray[np.int32]) -> RowIndex:
    """An order that spreads every class evenly: the first k examples are stratified for any k.

    The j-th of a class's m examples stands at (j + 1/2) / m of the way.
    """
    by_class = np.argsort(classes, kind="stable")
    counts = np.bincount(classes)
    starts = np.cumsum(counts) - counts
    ordered = classes[by_class]
    place = np.arange(len(classes)) - starts[ordered]
    return by_class[np.lexsort((ordered, (place + 0.5) / counts[ordered]))]
