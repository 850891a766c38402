"""Data that users bring: raw inputs and labels, made into training and test examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .column import Prepared
from .examples import Split
from .facts import Facts
from .input_preparation import InputPreparation, fit_input
from .inputs import Inputs
from .labels import Labels
from .padding import fit_padded
from .preparation import Preparation
from .raw_contents import RawContents
from .raw_examples import RawExamples
from .read_part import ReadPart
from .streams.streamed import RawStream, Streamed
from .trees import Tree, leaves, map_tree, named_leaves
from .window import Cutter
from .windows import Windows, fit_rows


class RawData(RawContents):
    """Raw inputs with a label each; some may be held out, and all are prepared.

    A kind of data declares its fields and says how to `read` them; the rest follows.
    """

    def facts(self) -> Facts:
        return self.contents.facts

    def known_labels(self) -> Tree[NDArray[Any]] | None:
        labels = self.contents.labels
        if labels is None or any(one.preparation is not None for one in leaves(labels)):
            return None
        known = slice(0) if self.contents.raw.stream else slice(None)
        return map_tree(lambda one: one.parts[0][known], labels)

    def load(self) -> Split:
        return self.prepared()

    def raw_tests(self, count: int) -> Tree[NDArray[Any]]:
        """The inputs of the first test examples as the data has them."""
        raw, *_, row_indices = self.contents
        if row_indices is None:
            assert raw.test is not None
            return map_tree(lambda x: np.asarray(x[:count]), raw.test.inputs)
        return map_tree(lambda x: np.asarray(x[row_indices[1][:count]]), raw.train.inputs)

    def prepared(self, preparation: Preparation | None = None) -> Split:
        """The examples, prepared by a `preparation` that another run has learnt, or by their own.

        Raises:
            Refused: when the inputs are not what that is for.
        """
        raw, labels, facts, learnt, row_indices = self.contents
        if raw.stream is not None:
            return self._load_stream(raw.stream, preparation)
        streams = self.streams(_numbers(raw, labels, facts))
        parts = [ReadPart.of(part, labels, i, streams=streams) for i, part in enumerate(raw.parts)]
        if row_indices is not None:
            parts = [parts[0].rows(row_index) for row_index in row_indices]
        names = None if labels is None else map_tree(lambda one: one.names, labels)
        fitted: Tree[Prepared] = (
            preparation.inputs
            if preparation is not None
            else map_tree(
                lambda name, x, feature: (
                    learnt[name]
                    if name in learnt
                    else fit_padded(self.normalise, x, feature.shape, feature.dtype)
                    or fit_rows(self.normalise, x, feature.shape, feature.dtype)
                ),
                _names_of(parts[0].inputs),
                parts[0].inputs,
                facts.inputs,
            )
        )
        made = Preparation(fitted, names, raw.columns)
        train, test = (part.prepared(made, labels, streams=streams) for part in parts)
        return Split(train, test, made)

    def _load_stream(self, stream: RawStream, preparation: Preparation | None) -> Split:
        """The first examples of a stream, the stream, and the tests."""
        raw, labels, facts, *_ = self.contents
        if preparation is None:
            fitted: Tree[Prepared] = map_tree(
                lambda x, feature: fit_input(self.normalise, x, feature.shape, feature.dtype),
                raw.train.inputs,
                facts.inputs,
            )
            names = None if labels is None else map_tree(lambda one: one.names, labels)
            preparation = Preparation(fitted, names, raw.columns)
        streamed = Streamed(stream, facts, labels, preparation)
        assert raw.test is not None
        test = ReadPart.of(raw.test, labels, 1, streams=False).prepared(
            preparation, labels, streams=False
        )
        sample = ReadPart.of(raw.train, labels, 0, streams=False)
        if sample.labels is not None:  # without those of the tests, which were looked at together
            sample = replace(sample, labels=map_tree(lambda y: y[: len(raw.train)], sample.labels))
        return Split(
            sample.prepared(preparation, labels, streams=False), test, preparation, streamed
        )

    def latest(self, names: Sequence[str]) -> Tree[Inputs]:
        """The raw inputs of the last window of each series, whose labels are not known yet.

        The inputs of a table are the columns `names`.

        Raises:
            Refused: when there are too few rows.
        """
        assert self.window is not None
        part = self.read().parts[-1]
        return Cutter(self.window, self.override).latest(part)

    def has_labels(self, columns: Sequence[str]) -> bool:
        """Whether the examples have labels, which those that are only predicted may lack.

        `columns` are those of a table that are inputs.
        """
        return True

    def unlabelled(self, columns: Sequence[str]) -> Tree[Inputs]:
        """The raw inputs of examples that may lack labels.

        Raises:
            Refused: when they are not there, or something else.
        """
        return self.read().train.inputs

    def of_lengths(self, preparation: Preparation) -> Self:
        """The same data whose rows of different lengths get those that a run's had."""
        lengths = {
            name: one.shape[0]
            for name, one in named_leaves(preparation.inputs)
            if isinstance(one, InputPreparation) and one.filling is not None
        }
        others = {} if self.buckets is None else {"buckets": None}  # which are for training
        if self.ragged is None or not lengths:
            return self.model_copy(update=others) if others else self
        ragged = self.ragged.model_copy(update={"length": lengths.get("", lengths)})
        return self.model_copy(update={"ragged": ragged, **others})


def _numbers(raw: RawExamples, labels: Tree[Labels] | None, facts: Facts) -> int:
    """How many numbers have to be read; those of windows that overlap once."""
    size = 0
    for part in raw.parts:
        for array, feature in zip(leaves(part.inputs), leaves(facts.inputs), strict=True):
            own = len(part) * prod(feature.shape)
            size += array.rows_size if isinstance(array, Windows) else own
        for one in leaves(labels) if labels is not None else ():
            size += len(part) * prod(one.preparation.shape) if one.preparation is not None else 0
    return size


def _names_of(tree: Tree[Any]) -> Tree[str]:
    """The name of each leaf."""
    return {name: name for name in tree} if isinstance(tree, Mapping) else ""
