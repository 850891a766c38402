"""The examples of a data set as they are stored, and what is known of them before they load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

from .column import Prepared
from .facts import Facts
from .held_out import RowIndex
from .labels import Labels
from .preparation import Names
from .raw_part import RawPart
from .streams.streamed import RawStream
from .trees import Tree

Learner = Callable[[NDArray[Any]], Prepared]
"""Makes a preparation of the training part's values."""


class RawExamples(NamedTuple):
    """The examples of a data set as they are stored, nothing of them changed."""

    train: RawPart
    test: RawPart | None
    """The test examples; None where some of `train` are to be held out."""
    columns: tuple[str, ...] | None = None
    """The names of an input's entries, where the data has them."""
    names: Tree[Names] = None
    """The names of the classes 0, 1, 2 …, where the data has them; or those of each label."""
    learners: Mapping[str, Learner] = {}
    """What prepares an input by what it learns of the training part, by the input's name."""
    stream: RawStream | None = None
    """What gives the examples to train, of which `train` then has the first few."""
    last_share: float | None = None
    """The share of all rows, the last ones, whose windows `test` has; None where it was given."""

    @property
    def parts(self) -> list[RawPart]:
        """The training part, and the test part where there is one."""
        return [self.train] if self.test is None else [self.train, self.test]


class Contents(NamedTuple):
    """What a data set holds, known before its inputs are loaded."""

    raw: RawExamples
    labels: Tree[Labels] | None
    """None where the inputs themselves are to be given back."""
    facts: Facts
    learnt: Mapping[str, Prepared]
    """The preparations that were learnt."""
    row_indices: tuple[RowIndex, RowIndex] | None
    """Which examples train and which are held out; None where there are tests."""
