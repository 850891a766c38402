"""What a column of a table holds, as a config declares it, and what is learnt of it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Kind, Number, Whole, refuse

from .column_preparation import (
    CategoryPreparation,
    DatePreparation,
    TextPreparation,
    as_texts,
    learnt_vocabulary,
    words,
)
from .input_preparation import InputPreparation, Normalise, moments

Prepared: TypeAlias = InputPreparation | CategoryPreparation | TextPreparation | DatePreparation
"""How one input is prepared."""


class Column(Kind, family=True):
    """What a column holds: `data.columns.NAME={kind: category}`."""


class LearntColumn(Column):
    """A column that is an input of its own, by its name."""

    @abstractmethod
    def learn(self, values: NDArray[Any], name: str) -> Prepared:
        """The preparation, from the values `[n]` of the training part."""

    def fault(self, text: str) -> str:
        """What is wrong with a cell, as a rule; nothing where it can be learnt from."""
        return ""


class Category(LearntColumn):
    """One of some texts, or of some whole numbers that count nothing, as an id for an embedding.

    Ids begin at 1 with the most frequent one; 0 is what the training part has not. The order is
    that of Keras' `StringLookup` and `IntegerLookup`.
    """

    kind: Literal["category"] = "category"
    encode: Literal["id", "one_hot"] = "id"
    """An id, or a row of zeros with a 1 at its place."""
    vocabulary: Annotated[Whole, Field(ge=1)] | None = None
    """How many are told apart, the most frequent ones; null for all."""
    missing: Literal["refuse", "unknown"] = "refuse"
    """What becomes of an empty cell."""

    def fault(self, text: str) -> str:
        if text or self.missing == "unknown":
            return ""
        return "and a category must be said, unless missing: unknown is declared of it"

    def learn(self, values: NDArray[Any], name: str) -> CategoryPreparation:
        texts = as_texts(values)
        found = learnt_vocabulary(texts, self.vocabulary)
        return CategoryPreparation(found, self.encode == "one_hot", self.missing == "unknown")


class Text(LearntColumn):
    """Words, as ids in a row; 0 fills it up, 1 is a word that the training part has not.

    Words and their order are those of Keras' `TextVectorization`.
    """

    kind: Literal["text"] = "text"
    vocabulary: Annotated[Whole, Field(ge=3)] = 20000
    """How many ids there are, with the two for no word and an unknown one."""
    length: Annotated[Whole, Field(ge=1)] = 200
    """How many words are looked at."""

    def learn(self, values: NDArray[Any], name: str) -> TextPreparation:
        found = (word for text in as_texts(values) for word in words(text))
        return TextPreparation(learnt_vocabulary(found, self.vocabulary - 2), self.length)


class Date(LearntColumn):
    """A date, perhaps with a time, as six numbers: see `DatePreparation`."""

    kind: Literal["date"] = "date"
    encode: Literal["parts", "cyclic"] = "cyclic"
    """Year, month, day, weekday, hour and minute, standardised; or their place in their cycles."""
    format: str | None = None
    """As `datetime.strptime` takes it; null for ISO 8601, such as 2024-02-29 06:30."""

    def fault(self, text: str) -> str:
        try:
            DatePreparation(self.encode, self.format).date(text)
        except ValueError:
            return f"which is no date in the form {self.format or 'YYYY-MM-DD hh:mm'}"
        return ""

    def learn(self, values: NDArray[Any], name: str) -> DatePreparation:
        plain = DatePreparation(self.encode, self.format)
        numbers = plain.numbers(values, f"columns.{name}")
        if self.encode == "cyclic":
            return plain
        deviation = numbers.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        shift = tuple(numbers.mean(axis=0).tolist())
        return DatePreparation(self.encode, self.format, shift, tuple(scale.tolist()))


class NumberColumn(Column):
    """A number. All columns of numbers make one input."""

    kind: Literal["number"] = "number"
    missing: Literal["refuse", "mean", "median", "zero"] | Number = "refuse"
    """What takes the place of a missing number: one of the training part's, zero, or a number."""
    normalise: Normalise | None = None
    """As `data.normalise`, for this column; null for what that says."""


class Ignore(Column):
    """A column that nothing is learnt from."""

    kind: Literal["ignore"] = "ignore"


PLAIN_NUMBER = NumberColumn()


def learn_numbers(
    columns: list[tuple[str, NumberColumn]], normalise: Normalise, values: NDArray[np.float64]
) -> InputPreparation:
    """The preparation of columns of numbers, from the values `[n, columns]` of the training part.

    What is missing is filled in before a mean or a standard deviation is taken.

    Raises:
        Refused: when a column that has to be filled has no number at all.
    """
    fill, shift, scale = [], [], []
    for i, (name, column) in enumerate(columns):
        there = values[:, i][~np.isnan(values[:, i])]
        if not len(there) and column.missing in ("mean", "median"):
            rule = "has no number in the training part"
            raise refuse(f"columns.{name}", column.missing, rule, "missing: zero, or kind: ignore")
        if column.missing == "mean":
            filler = float(np.mean(there))
        elif column.missing == "median":
            filler = float(np.median(there))
        else:
            filler = 0.0 if isinstance(column.missing, str) else float(column.missing)
        whole = np.where(np.isnan(values[:, i]), filler, values[:, i])[:, None]
        one = moments(column.normalise or normalise, whole, 1)
        fill.append(None if column.missing == "refuse" else filler)
        shift.append(one[0][0])
        scale.append(one[1][0])
    fills = tuple(fill) if any(column.missing != "refuse" for _, column in columns) else None
    return InputPreparation((len(columns),), tuple(shift), tuple(scale), fill=fills)
