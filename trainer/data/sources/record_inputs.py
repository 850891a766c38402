"""The inputs of TFRecord files, read one by one: numbers, and encoded images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Problem, Refused, refuse

from ..inputs import Key
from ..ragged import ONE_SHAPE
from .encoded_images import EncodedImages
from .image_decoding import Decoding
from .image_listing import fingerprint
from .tf_example import features, value_of
from .tfrecord_index import RecordIndex


class Records:
    """One feature of all records of some files."""

    def __init__(self, indices: Sequence[RecordIndex], feature: str) -> None:
        self.feature = feature
        self._indices = indices
        self._starts = np.cumsum([0, *map(len, indices)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def value(self, number: int) -> bytes | NDArray[Any]:
        """The feature of a record."""
        index, record = self._place(number)
        by_name = features(index.record(record))
        if self.feature not in by_name:
            raise self.refusal(number, Problem("", "", "is missing"))
        return value_of(by_name[self.feature])

    def refusal(self, number: int, problem: Problem) -> Refused:
        """The refusal of a record, by its place in its file."""
        return refuse("inputs", self.feature, f"{problem.rule} {self.where(number)}", problem.hint)

    def where(self, number: int) -> str:
        """In which record of which file."""
        index, record = self._place(number)
        return f"in record {record} of {index.file}"

    @property
    def changed(self) -> str:
        """A file that was no longer the indexed one when it was read; "" where all were."""
        return next(filter(None, (index.changed for index in self._indices)), "")

    def _place(self, number: int) -> tuple[RecordIndex, int]:
        """The file of a record, and its place there."""
        file_number = int(np.searchsorted(self._starts, number, "right")) - 1
        return self._indices[file_number], number - int(self._starts[file_number])


class RecordInputs:
    """Rows of numbers, which are stored as such or as bytes of their type."""

    def __init__(
        self,
        records: Records,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        in_bytes: bool = False,
    ) -> None:
        self.records = records
        self.shape = (len(records), *shape)
        self.dtype = dtype
        self._in_bytes = in_bytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Key) -> NDArray[Any]:
        row_index = np.arange(len(self))[key]
        values = np.empty((len(row_index), *self.shape[1:]), self.dtype)
        for i, number in enumerate(row_index):
            values[i] = self._input(int(number))
        return values

    def _input(self, number: int) -> NDArray[Any]:
        feature, value = self.records.feature, self.records.value(number)
        where = self.records.where(number)
        if self._in_bytes and isinstance(value, bytes):
            if len(value) == self.shape[1] * self.dtype.itemsize:
                return np.frombuffer(value, self.dtype)
            rule = f"has {len(value)} bytes {where}, and {self.shape[1] * self.dtype.itemsize}"
            raise refuse("inputs", feature, f"{rule} in the first", "all inputs need one shape")
        if self._in_bytes or isinstance(value, bytes) or value.dtype != self.dtype:
            raise refuse("inputs", feature, f"is of another type {where} than in the first")
        if value.shape != self.shape[1:]:
            rule = f"has {len(value)} numbers {where}, and {self.shape[1]} in the first"
            raise refuse("inputs", feature, rule, ONE_SHAPE)
        return value


class RecordImages(EncodedImages):
    """Encoded images in records; the `identity` tells those of other files, where anything does."""

    def __init__(self, records: Records, decoding: Decoding, identity: str | None = None) -> None:
        super().__init__(len(records), decoding)
        self.records = records
        self.identity = identity and fingerprint((records.feature, decoding), identity)

    @property
    def changed(self) -> str:
        """A file that was no longer the indexed one when it was read; "" where all were."""
        return self.records.changed

    def content(self, row: int) -> bytes:
        value = self.records.value(row)
        if isinstance(value, bytes):
            return value
        raise self.refusal(row, Problem("", "", "is no image"))

    def refusal(self, row: int, problem: Problem) -> Refused:
        return self.records.refusal(row, problem)
