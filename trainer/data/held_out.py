"""Which examples are kept from training, to evaluate by."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Declaration, Number, Whole

Numbers = NDArray[np.int64]


class HeldOut(Declaration):
    """A share of the examples, drawn from a seed of its own: another `run.seed` is tested alike."""

    fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.2
    """The share of the examples that is held out."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Draws which ones."""

    def parts(self, examples: int, classes: NDArray[np.int32] | None) -> tuple[Numbers, Numbers]:
        """The numbers of those that train, and of those held out, each in order.

        Where `classes` tells the class of each, every class has its share in both, as nearly as
        whole examples allow.

        >>> train, test = HeldOut(fraction=0.25).parts(8, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
        >>> len(train), (test // 4).tolist()
        (6, [0, 1])
        """
        random = np.random.Generator(np.random.Philox(key=[self.seed, 0]))
        order = random.permutation(examples)
        wanted = round(examples * self.fraction)
        if classes is not None:
            order = order[_even(classes[order])]
        out = np.zeros(examples, np.bool_)
        out[order[:wanted]] = True
        return np.flatnonzero(~out), np.flatnonzero(out)


def _even(classes: NDArray[np.int32]) -> Numbers:
    """An order in which every class comes up evenly: any beginning of it is stratified.

    The j-th of a class's m examples stands at (j + 1/2) / m of the way.
    """
    by_class = np.argsort(classes, kind="stable")
    counts = np.bincount(classes)
    starts = np.cumsum(counts) - counts
    ordered = classes[by_class]
    place = np.arange(len(classes)) - starts[ordered]
    return by_class[np.lexsort((ordered, (place + 0.5) / counts[ordered]))]
