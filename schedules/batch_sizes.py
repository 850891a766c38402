"""The batch size of every update of a run that went on with another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BatchSizes:
    """How many examples an update takes: `(step, batch size)`, each from its step on.

    The position of a run is the examples that it has seen. They are counted here, exactly, so that
    a length in epochs or examples ends after that many, whatever the batch sizes were on the way.

    >>> sizes = BatchSizes(((0, 64), (50, 128)))
    >>> sizes.examples(50), sizes.examples(52)
    (3200, 3456)
    >>> sizes.updates(3200), sizes.updates(3264)
    (Fraction(50, 1), Fraction(101, 2))
    """

    since: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, pairs: Iterable[Iterable[int]]) -> Self:
        """What a checkpoint has as lists."""
        return cls(tuple((step, size) for step, size in pairs))

    @property
    def first(self) -> int:
        """The batch size that the run began with."""
        return self.since[0][1]

    @property
    def now(self) -> int:
        """The batch size of the last updates."""
        return self.since[-1][1]

    @property
    def changed_at(self) -> int:
        """The step from which on the batch size is the present one."""
        return self.since[-1][0]

    def going_on(self, step: int, size: int) -> BatchSizes:
        """With updates of `size` examples from `step` on, where the run goes on.

        >>> BatchSizes(((0, 64),)).going_on(50, 128).going_on(50, 64)
        BatchSizes(since=((0, 64),))
        """
        before = tuple(pair for pair in self.since if pair[0] < step)
        if before and before[-1][1] == size:
            return BatchSizes(before)
        return BatchSizes((*before, (step, size)))

    @overload
    def examples(self, step: int) -> int: ...
    @overload
    def examples(self, step: NDArray[np.int64]) -> NDArray[np.int64]: ...
    def examples(self, step: int | NDArray[np.int64]) -> int | NDArray[np.int64]:
        """How many examples the first `step` updates learn from."""
        seen: Any = step * self.first
        for (_, before), (start, size) in zip(self.since, self.since[1:], strict=False):
            seen = seen + (size - before) * (step - start) * (step > start)
        return seen if isinstance(step, np.ndarray) else int(seen)

    def updates(self, examples: Fraction | int) -> Fraction:
        """After how many updates so many examples were learnt from, between two of them or not."""
        start, size = max(
            (pair for pair in self.since if self.examples(pair[0]) <= examples),
            default=self.since[0],
        )
        return start + Fraction(examples - self.examples(start)) / size
