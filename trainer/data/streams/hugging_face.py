"""Hugging Face's `IterableDataset`, whose examples are rows of named columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from typing import Any, ClassVar

import numpy as np

from .source import Pass, Source

EXACT = {
    "ArrowExamplesIterable",
    "ExamplesIterable",
    "FilteredExamplesIterable",
    "FormattedExamplesIterable",
    "MappedExamplesIterable",
    "RebatchedArrowExamplesIterable",
    "SelectColumnsIterable",
    "SkipExamplesIterable",
    "TakeExamplesIterable",
}
"""The package's classes of steps whose saved state leads to the very next example.

The state of a shuffle's buffer has not what is in it, that of a `map` or `filter` in batches may
leave one out, as `IterableDataset.load_state_dict` says, and that of other steps is not known.
"""
LARGEST_SEED = 2**64
"""Seeds beyond it are drawn from the operating system, for a shuffle that was given none."""


class IterableDatasetSource(Source):
    """The rows of a `datasets.IterableDataset`, in the order of a `set_epoch` for each pass.

    It shuffles by seeds of its own. The state of its iterator is saved where it leads to the very
    next row; where it does not, a pass is read again from its beginning.
    """

    what: ClassVar[str] = "an IterableDataset"
    by_column: ClassVar[bool] = True

    def __init__(self, dataset: Any, buffer: int | None = None) -> None:
        """With a `buffer` of so many rows these are shuffled by the seed of a run.

        Raises:
            ValueError: for a shuffle without a seed, saying so, with a hint after " / ".
        """
        self._dataset, self._buffer = dataset, buffer
        steps = [*_steps(getattr(dataset, "_ex_iterable", None))]
        if any(map(_is_unseeded, steps)):
            rule = "an IterableDataset shuffled without a seed, whose order can't be had again"
            raise ValueError(f"{rule} / shuffle(seed=1, buffer_size=…)")
        is_exact = all(
            type(step).__name__ in EXACT and not getattr(step, "batched", False) for step in steps
        )
        self._how = "state" if steps and is_exact and buffer is None else "replay"

    @property
    def how(self) -> str:
        return self._how

    def open(self, number: int, seed: int) -> Pass:
        # `copy` would give one whose attributes are those of the other, by its `__setstate__`; and
        # the steps hold the state.
        dataset = object.__new__(type(self._dataset))
        dataset.__dict__.update(self._dataset.__dict__)
        dataset._ex_iterable = _copied(dataset._ex_iterable)
        if self._buffer is not None:
            dataset = dataset.shuffle(seed=seed, buffer_size=self._buffer)
        dataset.set_epoch(number)
        return _RowPass(dataset)


class _RowPass(Pass):
    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._iterator: Iterator[Any] | None = None
        self._restored: bytes | None = None

    def next(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._dataset)
        return {name: np.asarray(value) for name, value in next(self._iterator).items()}

    def state(self) -> bytes | None:
        if self._iterator is None:  # it has a state once it has given a row
            return self._restored
        return json.dumps(self._dataset.state_dict(), default=int).encode()

    def restore(self, state: bytes) -> None:
        self._restored = state
        self._dataset.load_state_dict(json.loads(state))


def _steps(step: Any) -> Iterator[Any]:
    """Yields the steps of a pipeline, the last one first."""
    if step is None:
        return
    yield step
    for one in (getattr(step, "ex_iterable", None), *getattr(step, "ex_iterables", ())):
        yield from _steps(one)


def _copied(step: Any) -> Any:
    """The same steps with states of their own."""
    own = copy(step)
    if hasattr(step, "ex_iterable"):
        own.ex_iterable = _copied(step.ex_iterable)
    if hasattr(step, "ex_iterables"):
        own.ex_iterables = [_copied(one) for one in step.ex_iterables]
    return own


def _is_unseeded(step: Any) -> bool:
    """Whether a step shuffles by a generator that nobody gave a seed."""
    generator = getattr(step, "generator", None)
    if not isinstance(generator, np.random.Generator):
        return False
    entropy = getattr(generator.bit_generator.seed_seq, "entropy", 0)
    return isinstance(entropy, int) and entropy >= LARGEST_SEED
