"""A column of text from a table: numbers or names, and refused where it may be either."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..labels import Task

MISSING = frozenset(
    ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
     "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)  # fmt: skip
"""What pandas reads as a missing value, besides nothing (`pandas._libs.parsers.STR_NA_VALUES`)."""


class TextColumn(NamedTuple):
    """The texts of a column, without the spaces around them, and where each stands."""

    name: str
    texts: Sequence[str]
    lines: Sequence[int]
    file: Path

    def place(self, text: str) -> str:
        """Where a text first stands."""
        return f"in line {self.lines[self.texts.index(text)]}"


def is_number(text: str) -> bool:
    """Whether a text is a number to pandas and pyarrow.

    Python takes 1_000 and digits of other scripts as well, which a table has as text.

    >>> [is_number(text) for text in ("1", "-.5e3", "inf", "1_000", "٣", "1,5", "")]
    [True, True, True, False, False, False, False]
    """
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def read_labels(column: TextColumn, task: Task) -> NDArray[Any]:
    """A column of labels `[n]`: whole numbers or numbers, where all of them are; else text.

    Raises:
        Refused: when a label is missing, when some are numbers and others are not, or when a
            number that names a class is spelt in two ways.
    """
    texts = dict.fromkeys(column.texts)
    if "" in texts:
        rule = f"has nothing {column.place('')} of {column.file}, and every example needs a label"
        raise refuse("target", column.name, rule, "leave such rows out of the file, or fill them")
    names = [text for text in texts if not is_number(text) or text in MISSING]
    if task != "classification" and names:
        _check_names(column, names, list(texts), task)
    values = {text: _value(text) for text in texts if is_number(text)}
    is_whole = all(isinstance(value, int) for value in values.values())
    if task == "classification" or (task == "auto" and (is_whole or names)):
        _check_spellings(column, values)
    if names:
        return np.array(column.texts)
    dtype = np.int64 if is_whole else np.float64
    return np.array([values[text] for text in column.texts], dtype)


def _check_names(
    column: TextColumn, names: Sequence[str], texts: Sequence[str], task: Task
) -> None:
    """Refuses a column whose texts are not all names, unless the config says that they are."""
    missing = next((text for text in names if text in MISSING), None)
    if missing is not None:
        rule = (
            f"has '{missing}' {column.place(missing)} of {column.file}, a missing value to pandas"
        )
        hint = "leave such rows out of the file; data.task=classification, if it names a class"
    elif len(names) < len(texts):
        number = next(text for text in texts if text not in names)
        others = f"and '{number}' {column.place(number)}"
        rule = f"has '{names[0]}' {column.place(names[0])} of {column.file}, {others}"
        hint = "mend what is no number; data.task=classification, if all of them name classes"
    else:
        return
    if task == "regression":
        hint = "mend what is no number, or leave such rows out of the file"
    raise refuse("target", column.name, rule, hint)


def _check_spellings(column: TextColumn, values: dict[str, int | float]) -> None:
    """Refuses two texts for one number: one class to some readers, and two classes to others."""
    first: dict[int | float, str] = {}
    for text, value in values.items():
        other = first.setdefault(value, text)
        if other != text:
            rule = (
                f"has '{other}' {column.place(other)} and '{text}' {column.place(text)} of "
                f"{column.file}: one class or two"
            )
            raise refuse("target", column.name, rule, "spell a number one way in the whole column")


def _value(text: str) -> int | float:
    """The number of a text: whole where it is written as one that 64 bits hold."""
    try:
        whole = int(text)
    except ValueError:
        return float(text)
    return whole if -(2**63) <= whole < 2**63 else float(text)


def counts_rows(cells: NDArray[np.float64]) -> bool:
    """Whether cells count the rows from 0 or 1 on, by one each; never of fewer than ten rows.

    >>> counts_rows(np.arange(1.0, 11)), counts_rows(np.arange(9.0))
    (True, False)
    """
    return len(cells) >= 10 and cells[0] in (0, 1) and bool((np.diff(cells) == 1).all())


def is_unnamed(name: str) -> bool:
    """Whether a column has the name that pandas gives an index without one, in text or in Parquet.

    >>> [is_unnamed(name) for name in ("", "Unnamed: 0", "__index_level_0__", "index")]
    [True, True, True, False]
    """
    return re.fullmatch(r"(Unnamed: \d+|__index_level_\d+__)?", name.strip()) is not None
