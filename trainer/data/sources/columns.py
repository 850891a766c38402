"""A column of text from a table: numbers or names, and refused where it may be either."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Problem, refuse

from ..column import LearntColumn
from ..label_task import Task
from ..raw_part import Series

if TYPE_CHECKING:
    import pyarrow

MISSING = frozenset(
    ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
     "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)  # fmt: skip
"""What pandas reads as a missing value, besides nothing (`pandas._libs.parsers.STR_NA_VALUES`)."""


@dataclass(frozen=True)
class TextColumn:
    """A column of text; spaces around a text don't count."""

    name: str
    chunks: pyarrow.ChunkedArray
    file: Path
    where: Callable[[int], str]
    """Says where a row stands in the file."""

    def __len__(self) -> int:
        return len(self.chunks)

    @cached_property
    def values(self) -> pyarrow.ChunkedArray:
        """The texts without spaces around them."""
        from pyarrow import compute

        return compute.utf8_trim_whitespace(self.chunks)

    @cached_property
    def encoded(self) -> tuple[list[str], NDArray[np.int32]]:
        """The different texts, in the order in which they come, and which of them each row has."""
        encoded = self.values.dictionary_encode().unify_dictionaries()
        if not encoded.num_chunks:
            return [], np.zeros(0, np.int32)
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
        return encoded.chunk(0).dictionary.to_pylist(), codes

    @property
    def texts(self) -> list[str]:
        """The different texts."""
        return self.encoded[0]

    def array(self, values: Sequence[Any], dtype: Any = None) -> NDArray[Any]:
        """An array `[n]` with the value for each row's text, given those of the different ones."""
        return np.array(values, dtype)[self.encoded[1]]

    def place(self, text: str) -> str:
        """Where a text first stands."""
        return f"in {self.where(int((self.encoded[1] == self.texts.index(text)).argmax()))}"

    def fractions(self) -> NDArray[np.float64] | None:
        """The numbers `[n]`, where all texts are finite numbers and some are no whole ones."""
        import pyarrow

        try:
            numbers = self.values.cast(pyarrow.float64()).to_numpy()
        except pyarrow.ArrowInvalid:
            return None
        if not np.isfinite(numbers).all():
            return None
        try:
            self.values.cast(pyarrow.int64())
        except pyarrow.ArrowInvalid:
            return np.asarray(numbers)
        return None


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


def read_labels(column: TextColumn, task: Task, path: str = "target") -> NDArray[Any]:
    """A column of labels `[n]`: whole numbers or numbers, where all of them are; else text.

    Raises:
        Refused: when a label is missing, when some are numbers and others are not, or when a
            number that names a class is spelt in two ways.
    """
    if task != "classification" and (numbers := column.fractions()) is not None:
        return numbers
    texts = column.texts
    if "" in texts:
        rule = f"has nothing {column.place('')} of {column.file}, and every example needs a label"
        raise refuse(path, column.name, rule, "leave such rows out of the file, or fill them")
    names = [text for text in texts if not is_number(text) or text in MISSING]
    if task != "classification" and names:
        _check_names(column, names, texts, task, path)
    values = {text: _value(text) for text in texts if is_number(text)}
    is_whole = all(isinstance(value, int) for value in values.values())
    if task == "classification" or (task == "auto" and (is_whole or names)):
        _check_spellings(column, values, path)
    if names:
        return column.array(texts)
    return column.array([values[text] for text in texts], np.int64 if is_whole else np.float64)


def read_weights(column: TextColumn) -> NDArray[np.float64]:
    """A column of weights `[n]`.

    Raises:
        Refused: when one is no number from 0 on.
    """
    for text in column.texts:
        if not is_number(text) or not 0 <= float(text) < np.inf:
            cell = f"'{text}'" if text else "nothing"
            rule = f"has {cell} {column.place(text)} of {column.file}"
            raise refuse("weights", column.name, rule, "weights are numbers from 0 on")
    return column.array([float(text) for text in column.texts], np.float64)


def read_series(column: TextColumn) -> Series:
    """Which series each row belongs to.

    Raises:
        Refused: when a row belongs to none.
    """
    names, codes = column.encoded
    if "" in names:
        rule = f"has nothing {column.place('')} of {column.file}, and every row is of a series"
        raise refuse("group_by", column.name, rule, "fill it, or leave such rows out of the file")
    return Series(names, codes)


def _check_names(
    column: TextColumn, names: Sequence[str], texts: Sequence[str], task: Task, path: str
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
    raise refuse(path, column.name, rule, hint)


def _check_spellings(column: TextColumn, values: dict[str, int | float], path: str) -> None:
    """Refuses two texts for one number: one class to some readers, and two classes to others."""
    first: dict[int | float, str] = {}
    for text, value in values.items():
        other = first.setdefault(value, text)
        if other != text:
            rule = (
                f"has '{other}' {column.place(other)} and '{text}' {column.place(text)} of "
                f"{column.file}: one class or two"
            )
            raise refuse(path, column.name, rule, "spell a number one way in the whole column")


def _value(text: str) -> int | float:
    """The number of a text: whole where it is written as one that 64 bits hold."""
    try:
        whole = int(text)
    except ValueError:
        return float(text)
    return whole if -(2**63) <= whole < 2**63 else float(text)


def faults(declared: LearntColumn, column: TextColumn) -> Iterator[Problem]:
    """Yields the first cell of a column that is not what is declared of it, if there is one."""
    for text in column.texts:
        if why := declared.fault(text):
            cell = f"'{text}'" if text else "nothing"
            rule = f"has {cell} {column.place(text)} of {column.file}, {why}"
            hint = "mend the file"
            if declared.kind == "category":
                hint = column_override(column.name, "{kind: category, missing: unknown}")
            elif text and declared.kind == "date":
                hint = "mend the file; format: '%d.%m.%Y' beside kind: date says another form"
            yield Problem("inputs", column.name, rule, hint)
            return


def column_override(name: str, settings: str) -> str:
    """The override that declares a column; where Hydra can't read the name in one, a file's lines.

    >>> column_override("age", "{kind: ignore}"), column_override("my age", "{kind: ignore}")
    ('data.columns.age={kind: ignore}', "data.columns='{my age: {kind: ignore}}'")
    """
    if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        return f"data.columns.{name}={settings}"
    if re.fullmatch(r"[A-Za-z_]\w*( [A-Za-z_]\w*)*", name, re.ASCII):
        return f"data.columns='{{{name}: {settings}}}'"
    return f"data: {{columns: {{{json.dumps(name, ensure_ascii=False)}: {settings}}}}} in a file"


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
