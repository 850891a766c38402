"""How a column of text becomes ids or numbers for a network; what was learnt of it is kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

ISO = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?"
"""Dates, perhaps with a time, as ISO 8601 writes them."""

PUNCTUATION = re.compile(r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']""")
"""What Keras' `TextVectorization` leaves out."""

LOWER = {ord(letter.upper()): letter for letter in "abcdefghijklmnopqrstuvwxyz"}
"""What `tf.strings.lower` does, which knows no other letters."""


class ColumnPreparation:
    """What the preparations of a column have in common."""

    changes: ClassVar[bool] = True

    def undo(self, prepared: NDArray[Any]) -> NDArray[Any]:
        """The prepared input, since what it was made of is not known any more."""
        return prepared


@dataclass(frozen=True)
class CategoryPreparation(ColumnPreparation):
    """The id of a text: its place in the vocabulary, from 1 on; 0 where it is not there.

    >>> jobs = CategoryPreparation(("nurse", "smith"))
    >>> jobs.apply(np.array(["smith", "king"])).tolist()
    [[2], [0]]
    """

    vocabulary: tuple[str, ...]
    one_hot: bool = False
    """Whether it is a row of zeros with a 1 at the place of the id."""
    empty: bool = False
    """Whether it may be empty, which is an unknown text."""
    steps: int | None = None
    """Of how many rows an input is, where these follow one another; None where a row is one."""
    kind: Literal["category"] = "category"

    @property
    def classes(self) -> int | None:
        """How many ids there are, where it is an id."""
        return None if self.one_hot else len(self.vocabulary) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        if self.one_hot:
            return (*_of_steps(self.steps), len(self.vocabulary) + 1)
        return _of_steps(self.steps) or (1,)

    @property
    def dtype(self) -> Literal["float32", "int32"]:
        return "float32" if self.one_hot else "int32"

    def apply(self, raw: NDArray[Any], path: str = "inputs") -> NDArray[Any]:
        """The ids `[n, 1]` of texts `[n]`, or of whole numbers; `[n, steps]` of those of windows.

        Raises:
            Refused: when one is empty, and may not be.
        """
        texts = as_texts(raw)
        different = set(texts)
        if "" in different and not self.empty:
            raise refuse(path, ABSENT, f"has nothing in example {texts.index('')}", EMPTY)
        ids = {text: self._ids.get(text, 0) for text in different}
        column = np.fromiter((ids[text] for text in texts), np.int32, len(texts))
        if self.one_hot:
            return np.eye(self.shape[-1], dtype=np.float32)[column].reshape(-1, *self.shape)
        return column.reshape(-1, *self.shape)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {text: i for i, text in enumerate(self.vocabulary, start=1)}


EMPTY = "fill it, or say missing: unknown of the column"


@dataclass(frozen=True)
class TextPreparation(ColumnPreparation):
    """The ids of a text's words, `length` of them: 0 after its end, 1 for one that is not known.

    Words are in lower case, without punctuation, and between white space, as Keras'
    `TextVectorization` has it.

    >>> notes = TextPreparation(("the", "cat"), 4)
    >>> notes.apply(np.array(["The dog, the cat"])).tolist()
    [[2, 1, 2, 3]]
    """

    vocabulary: tuple[str, ...]
    length: int
    kind: Literal["text"] = "text"

    dtype: ClassVar[Literal["int32"]] = "int32"

    @property
    def classes(self) -> int:
        """How many ids there are."""
        return len(self.vocabulary) + 2

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    def apply(self, raw: NDArray[Any], path: str = "inputs") -> NDArray[np.int32]:
        """The ids `[n, length]` of texts `[n]`."""
        texts = as_texts(raw)
        ids = np.zeros((len(texts), self.length), np.int32)
        for row, text in zip(ids, texts, strict=True):
            known = [self._ids.get(word, 1) for word in words(text)[: self.length]]
            row[: len(known)] = known
        return ids

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary, start=2)}


@dataclass(frozen=True)
class DatePreparation(ColumnPreparation):
    """The parts of a date as numbers, `(part - shift) / scale`.

    `parts`: year, month, day, weekday (Monday is 0), hour and minute. `cyclic`: sine and cosine of
    the day in the year, the weekday and the time of day, so that December lies beside January.

    >>> DatePreparation("parts", None).apply(np.array(["2024-02-29 06:30"])).tolist()
    [[2024.0, 2.0, 29.0, 3.0, 6.0, 30.0]]
    """

    encode: Literal["parts", "cyclic"]
    format: str | None
    """As `datetime.strptime` takes it; None for ISO 8601."""
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    steps: int | None = None
    """Of how many rows an input is, where these follow one another; None where a row is one."""
    kind: Literal["date"] = "date"

    dtype: ClassVar[Literal["float32"]] = "float32"
    classes: ClassVar[None] = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (*_of_steps(self.steps), 6)

    def apply(self, raw: NDArray[Any], path: str = "inputs") -> NDArray[np.float32]:
        """The numbers `[n, 6]` of dates `[n]`; `[n, steps, 6]` of those of windows.

        Raises:
            Refused: when one is no date.
        """
        numbers = (self.numbers(raw, path) - self.shift) / self.scale
        return numbers.astype(np.float32).reshape(-1, *self.shape)

    def numbers(self, raw: NDArray[Any], path: str) -> NDArray[np.float64]:
        """The same before shift and scale."""
        texts = as_texts(raw)
        encoded = _cyclic if self.encode == "cyclic" else _parts
        rows = {}
        for text in dict.fromkeys(texts):
            try:
                rows[text] = encoded(self.date(text))
            except ValueError:
                example = texts.index(text)
                what = f"has '{text}' in example {example}" if text else f"has nothing in {example}"
                rule = f"{what}, which is no date in the form {self.format or 'YYYY-MM-DD hh:mm'}"
                raise refuse(path, ABSENT, rule, "format: '%d.%m.%Y' says another form") from None
        return np.array([rows[text] for text in texts], np.float64).reshape(len(texts), 6)

    def date(self, text: str) -> datetime:
        """The date that a text says.

        Raises:
            ValueError: when it says none.
        """
        if self.format is not None:
            return datetime.strptime(text, self.format)
        if not re.fullmatch(ISO, text, re.ASCII):
            raise ValueError(text)
        return datetime.fromisoformat(text)


def _of_steps(steps: int | None) -> tuple[int, ...]:
    return () if steps is None else (steps,)


def _parts(date: datetime) -> list[float]:
    return [date.year, date.month, date.day, date.weekday(), date.hour, date.minute]


def _cyclic(date: datetime) -> list[float]:
    seconds = date.hour * 3600 + date.minute * 60 + date.second
    shares = [(date.timetuple().tm_yday - 1) / 365.25, date.weekday() / 7, seconds / 86400]
    return [f(2 * np.pi * share) for share in shares for f in (np.sin, np.cos)]


def as_texts(raw: NDArray[Any]) -> list[str]:
    """The entries of an array `[n]` or `[n, 1]` as texts, without spaces around them."""
    flat = np.asarray(raw).reshape(-1)
    if flat.dtype.kind == "S":
        flat = np.char.decode(flat, "utf-8")
    return [str(entry).strip() for entry in flat.tolist()]


def words(text: str) -> list[str]:
    """The words of a text, as `TextVectorization` takes it apart."""
    plain = PUNCTUATION.sub("", text.translate(LOWER))
    return [word for word in re.split(r"[ \t\n\v\f\r]+", plain) if word]


def learnt_vocabulary(texts: Iterable[str], size: int | None) -> tuple[str, ...]:
    """The most frequent texts first; of equally frequent ones, the last by the alphabet.

    This is the order of Keras' `StringLookup`, and, where all texts are whole numbers, of its
    `IntegerLookup`.

    >>> learnt_vocabulary(["b", "a", "c", "c"], None)
    ('c', 'b', 'a')
    >>> learnt_vocabulary(["9", "10"], None)
    ('10', '9')
    """
    count = Counter(texts)
    count.pop("", None)
    whole = all(re.fullmatch(r"0|-?[1-9]\d{0,17}", text, re.ASCII) for text in count)
    token: Any = int if whole else str
    ordered: Sequence[str] = sorted(count, key=lambda t: (count[t], token(t)), reverse=True)
    return tuple(ordered[:size])
