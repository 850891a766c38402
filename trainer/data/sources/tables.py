"""Tables that are read: a row an example, some columns its input and some its label."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from schedules.analysis.lint import Finding
from schedules.declaration import ABSENT, Problem, Refused, did_you_mean, refuse

from ..column import (
    PLAIN_NUMBER,
    Ignore,
    LearntColumn,
    NumberColumn,
    learn_numbers,
)
from ..inputs import Inputs
from ..preparation import NUMBERS
from ..raw_examples import Learner, RawExamples
from ..raw_part import RawPart
from ..trees import Tree, leaves
from ..window import Cutter
from ..windows import Windows
from .columns import (
    TextColumn,
    faults,
    is_unnamed,
    read_series,
    read_weights,
)
from .layout import Layout
from .suspects import ROWS_SEEN, Suspects
from .table_settings import TableSettings


class Table(TableSettings):
    """What tables have in common, whatever their file format."""

    @abstractmethod
    def header(self) -> Sequence[str]:
        """The names of the columns of `path`."""

    def first_numbers(self, columns: Sequence[str], rows: int) -> NDArray[Any]:
        """The first rows `[n, columns]` of the inputs that are numbers."""
        inputs = self.contents.raw.train.inputs
        numbers: Any = inputs[NUMBERS] if isinstance(inputs, Mapping) else inputs
        return np.asarray(_rows(numbers)[:rows])

    def suspects(self) -> list[Finding]:
        raw = self.contents.raw
        columns, inputs, labels = raw.columns or (), raw.train.inputs, raw.train.labels
        numbers = self.first_numbers(columns, ROWS_SEEN).T if columns else ()
        learnt = {
            name: (column, np.asarray(_rows(inputs[name])[:ROWS_SEEN]))
            for name, column in self.columns.items()
            if isinstance(column, LearntColumn) and isinstance(inputs, Mapping) and name in inputs
        }
        known: dict[str, NDArray[Any]] = {}
        if self.window is None and labels is not None:  # else the past of a label is learnt from
            rows = [np.asarray(array[:ROWS_SEEN]) for array in leaves(labels)]
            each = rows[0].T if rows[0].ndim == 2 else rows
            known = dict(zip(self.labels, each, strict=True))
        by_name = dict(zip(columns, numbers, strict=True))
        chosen = self.inputs is not None
        return Suspects(len(raw.train), by_name, learnt, known, chosen).findings()

    @abstractmethod
    def read_part(self, path: str, file: Path) -> tuple[Layout, RawPart]:
        """A part of the examples, and which columns it is of."""

    def read(self) -> RawExamples:
        parts = [self.read_part("path", self.path)]
        if self.test is not None:
            parts.append(self.read_part("test", self.test))
        return self.examples(parts)

    def has_labels(self, names: Sequence[str]) -> bool:
        """Whether the file has all columns of labels, and the rows of a window and its label."""
        if not set(self.labels) <= set(self.header()):
            return False
        if self.window is None:
            return True
        part = self._plain(names).read_part("path", self.path)[1]
        return not Cutter(self.window, self.override).is_too_short(part)

    def of_columns(self, names: Sequence[str]) -> Self:
        """The same table with these inputs, wherever they stand."""
        return self._with(inputs=tuple(names))

    def unlabelled(self, names: Sequence[str]) -> Tree[Inputs]:
        """The raw inputs of a table without labels; of windows, the last one of each series.

        Raises:
            Refused: when the file lacks a column, or holds something else.
        """
        part = self._plain(names).read_part("path", self.path)[1]
        if self.window is None:
            return part.inputs
        return Cutter(self.window, self.override).latest(part)

    def latest(self, names: Sequence[str]) -> Tree[Inputs]:
        return self._with(path=self.test or self.path).unlabelled(names)

    def _plain(self, names: Sequence[str]) -> Self:
        """The same table with these inputs and nothing else."""
        return self._with(inputs=tuple(names), target=None, targets=None, weights=None)

    def _with(self, **fields: Any) -> Self:
        """A copy that has read nothing yet."""
        copy = self.model_copy(update=fields)
        copy.__dict__.pop("contents", None)
        return copy

    def layout(self, file: Path, header: Sequence[str]) -> Layout:
        """Which columns of a file with this `header` are what.

        Raises:
            Refused: when one is missing, or none is left for inputs.
        """
        ignored = {name for name, column in self.columns.items() if isinstance(column, Ignore)}
        others = {self.weights, self.group_by, *ignored}
        if self.window is None:  # else what was before is learnt from
            others |= {*self.labels}
        inputs = self.inputs or tuple(name for name in header if name not in others)
        inputs = tuple(name for name in inputs if name not in ignored)
        if self.inputs is None and any(map(is_unnamed, inputs)):
            place = next(i for i, name in enumerate(header, start=1) if is_unnamed(name))
            rule = f"would have column {place} of {file}, without a name, as row numbers are kept"
            named = [name for name in inputs if not is_unnamed(name)]
            raise refuse("inputs", ABSENT, rule, self.inputs_hint(named))
        count = Counter(header)
        problems: list[Problem] = []
        weights = (self.weights,) if self.weights else ()
        for field, names in (
            ("target" if self.targets is None else "targets", self.labels),
            ("inputs", inputs),
            ("weights", weights),
            ("group_by", (self.group_by,) if self.group_by else ()),
            ("columns", tuple(self.columns)),
        ):
            for name in names:
                if name not in count:
                    hint = did_you_mean(name, header)
                    problems.append(Problem(field, name, f"is no column of {file}", hint))
                elif count[name] > 1:
                    rule = f"is more than one column of {file}"
                    problems.append(Problem(field, name, rule, "rename them"))
        if problems:
            raise Refused(problems)
        if not inputs:
            field, value = self.labels_override
            raise refuse(field, value, f"leaves no column of {file} for inputs")
        learnt = {
            name: column
            for name in inputs
            if isinstance(column := self.columns.get(name), LearntColumn)
        }
        numbers = {
            name: column if isinstance(column := self.columns.get(name), NumberColumn) else None
            for name in inputs
            if name not in learnt
        }
        return Layout(numbers, learnt, self.labels, self.weights, self.group_by)

    def examples(self, parts: Sequence[tuple[Layout, RawPart]]) -> RawExamples:
        """The raw examples of the training file, and of a test file where there is one."""
        layout, train = parts[0]
        test = None
        if len(parts) > 1:
            test_layout, test = parts[1]
            if test_layout.inputs != layout.inputs:
                listed, test_listed = ", ".join(layout.inputs), ", ".join(test_layout.inputs)
                rule = f"has the columns {test_listed}, and the training file {listed}"
                raise refuse("test", str(self.test), rule, "data.inputs=[…] names those of both")
        learners: dict[str, Learner] = {
            name: partial(column.learn, name=name) for name, column in layout.learnt.items()
        }
        if any(column is not None for column in layout.numbers.values()):
            columns = [(n, column or PLAIN_NUMBER) for n, column in layout.numbers.items()]
            leaf = NUMBERS if layout.learnt or layout.lists else ""
            learners[leaf] = partial(learn_numbers, columns, self.normalise)
        return RawExamples(train, test, tuple(layout.numbers), self.names, learners)

    def part(
        self,
        layout: Layout,
        numbers: Inputs,
        texts: Mapping[str, TextColumn],
        labels: Any,
        lists: Mapping[str, Any] | None = None,
    ) -> RawPart:
        """A part of the examples from its columns; `labels` are those of each label's column."""
        problems = [p for name, one in layout.learnt.items() for p in faults(one, texts[name])]
        if problems:
            raise Refused(problems)
        inputs: Tree[Inputs] = numbers
        if layout.learnt or lists:
            named = {name: texts[name].array(texts[name].texts, object) for name in layout.learnt}
            named |= lists or {}
            inputs = {NUMBERS: numbers, **named} if layout.numbers else named
        weights = None if layout.weights is None else read_weights(texts[layout.weights])
        series = None if layout.series is None else read_series(texts[layout.series])
        if not labels:
            return RawPart(inputs, None, weights, series)
        several = dict(zip(layout.labels, labels, strict=True)) if self.targets else None
        row = np.stack(labels, axis=1) if len(labels) > 1 and not several else None
        return RawPart(inputs, several or (labels[0] if row is None else row), weights, series)

    def inputs_hint(self, names: Sequence[str]) -> str:
        """The override that takes these columns for inputs."""
        is_plain = all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in names)
        listed = ",".join(names) if names and is_plain and len(names) <= 8 else "…"
        return f"data.inputs=[{listed}] says which columns to learn from"


def _rows(inputs: Any) -> Any:
    """The rows of inputs, those of windows once each."""
    return inputs.rows if isinstance(inputs, Windows) else inputs
