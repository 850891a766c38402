"""Batches of rows of like lengths, filled up to no more than the longest of these need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Problem, Refused, Whole, refuse

from .column import Prepared
from .column_preparation import TextPreparation, as_texts, words
from .label_task import Override
from .ragged import Ragged, RaggedRows
from .raw_part import RawPart
from .trees import leaves, named_leaves
from .window import Window

Declared: TypeAlias = (
    Annotated[Whole, Field(ge=2, le=32)]
    | Annotated[tuple[Annotated[Whole, Field(ge=1)], ...], Field(min_length=1, max_length=31)]
)
"""How many buckets there are, or the greatest length of each but the last, which takes the rest."""

Lengths: TypeAlias = NDArray[np.int64]
"""How many steps each example has, `[n]`: of several arrays the longest."""


@dataclass(frozen=True)
class Buckets:
    """The lengths that batches may have, and which arrays have steps of such.

    >>> buckets = Buckets((4, 9), ("",), (), 9)
    >>> buckets.of(np.array([1, 4, 5, 9])).tolist()
    [0, 0, 1, 1]
    """

    lengths: tuple[int, ...]
    """In ascending order; the last one is the length that a row has at most."""
    inputs: tuple[str, ...]
    """The names of the inputs whose first axis is one of steps."""
    labels: tuple[str, ...]
    """Those of such labels."""
    longest: int
    """How many steps inputs have that are not cut, as in evaluations."""

    def of(self, lengths: Lengths) -> NDArray[np.int64]:
        """The bucket of each example."""
        return np.searchsorted(np.array(self.lengths), lengths)

    def padding(self, lengths: Lengths) -> tuple[float, float]:
        """The share of all steps that fills up: in buckets, and without them."""
        steps = int(lengths.sum())
        filled = int(np.array(self.lengths)[self.of(lengths)].sum())
        return 1 - steps / filled, 1 - steps / (len(lengths) * self.longest)


@dataclass(frozen=True)
class Bucketing:
    """Finds the buckets that are declared of training examples; `override` writes hints."""

    declared_as: Declared
    override: Override

    def of(
        self,
        raw: RawPart,
        padded: RawPart,
        learnt: Mapping[str, Prepared],
        trains: slice | NDArray[np.int64],
    ) -> tuple[Buckets, Lengths]:
        """The buckets, and how many steps each example has; `padded` has them all of one length.

        Of a number of buckets, each has about as many of the examples that train.

        Raises:
            Refused: when all rows have one length, or no row is in some bucket.
        """
        steps = [*_steps(raw, padded, learnt)]
        if not steps:
            rule = "is for rows of different lengths, and all have one"
            hint = f"leave it out; {self.override('ragged', '{length: longest}')} takes such rows"
            raise self._refuse(rule, hint)
        lengths: Lengths = np.max([one.lengths for one in steps], axis=0)
        bounds, most = self.declared_as, int(lengths[trains].max())
        if isinstance(bounds, int):
            shares = np.arange(1, bounds) / bounds
            found = np.quantile(lengths[trains], shares, method="inverted_cdf").tolist()
            bounds = tuple(max(1, bound) for bound in found)
        elif bounds[-1] >= most:
            rule = f"has the bound {bounds[-1]}, and no row that trains has more than {most} steps"
            below = [bound for bound in bounds if bound < most]
            listed = f"[{','.join(map(str, below))}]"
            raise self._refuse(rule, self.override("buckets", listed) if below else "leave it out")
        ascending = tuple(sorted({*bounds, most}))
        if len(ascending) < 2:
            rule = f"would all be one, since most rows that train have {most} steps"
            raise self._refuse(rule, "leave it out")
        names = [tuple(one.name for one in steps if one.what == w) for w in ("inputs", "labels")]
        return Buckets(ascending, names[0], names[1], max(one.longest for one in steps)), lengths

    def _refuse(self, rule: str, hint: str) -> Refused:
        value = self.declared_as
        return refuse("buckets", list(value) if isinstance(value, tuple) else value, rule, hint)


class _Steps(NamedTuple):
    """An input or a label whose rows have several lengths."""

    what: Literal["inputs", "labels"]
    name: str
    lengths: Lengths
    longest: int


def _steps(raw: RawPart, padded: RawPart, learnt: Mapping[str, Prepared]) -> Iterator[_Steps]:
    """Yields what has rows of several lengths, beyond the longest of which they are cut."""
    for what in _WHAT:
        tree, of_one_length = getattr(raw, what), getattr(padded, what)
        if tree is None:
            continue
        for (name, rows), array in zip(named_leaves(tree), leaves(of_one_length), strict=True):
            if isinstance(rows, RaggedRows):
                most = int(array.shape[1])
                yield _Steps(what, name, np.minimum(rows.lengths, most), most)
            elif what == "inputs" and isinstance(one := learnt.get(name), TextPreparation):
                counts = np.array([len(words(text)) for text in as_texts(rows[:])], np.int64)
                yield _Steps(what, name, np.minimum(counts, one.length), one.length)


_WHAT: tuple[Literal["inputs", "labels"], ...] = ("inputs", "labels")


def bucket_problems(
    declared: Declared | None, ragged: Ragged | None, window: Window | None, override: Override
) -> Iterator[Problem]:
    """Yields what is wrong with buckets before any row is read."""
    if declared is None:
        return
    if isinstance(declared, tuple) and list(declared) != sorted({*declared}):
        rule = "must ascend, each bound above the one before"
        listed = ",".join(map(str, sorted({*declared})))
        yield Problem("buckets", list(declared), rule, override("buckets", f"[{listed}]"))
    if window is not None:
        rule = "is for rows of different lengths, and all windows have one"
        yield Problem("buckets", ABSENT, rule, "leave out one of the two")
    if ragged is not None and ragged.side == "pre":
        rule = "cuts batches behind the end of their rows, and side pre fills up before them"
        yield Problem("buckets", ABSENT, rule, override("ragged.side", "post"))
