"""Examples in TFRecord files."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Refused, Whole, did_you_mean, refuse

from ..examples import Split
from ..files import File, missing, reading
from ..inputs import Key
from ..raw_data import RawData, RawExamples, RawPart
from .image_size import dimensions
from .images import decoded
from .tf_example import features, value_of
from .tfrecord_index import Index, indexed

Side = Annotated[Whole, Field(ge=1)]


class TfRecord(RawData):
    """`tf.train.Example`s in TFRecord files that are not compressed.

    Where each record begins, and its label, is looked up once and kept, so that examples can be
    read in any order; see `record_index.py`. The inputs are numbers (a `float_list` or
    `int64_list`), an image in a file format, or bytes of a `dtype`.
    """

    kind: Literal["tfrecord"] = "tfrecord"
    path: File
    """The file, or a pattern such as data/train-*.tfrecord, whose files follow by their names."""
    test: File | None = None
    """Another file or pattern, to evaluate by; null to hold some records out."""
    inputs: str = "image"
    """The name of the feature that is the input."""
    labels: str = "label"
    """The name of the feature that is the label."""
    stored: Literal["auto", "image", "bytes"] = "auto"
    """What bytes are: an encoded image, or plain values of `dtype`; `auto`: an image if one is."""
    dtype: Literal["uint8", "int16", "int32", "int64", "float16", "float32", "float64"] = "uint8"
    """The type of plain values in bytes, little-endian."""
    size: tuple[Side, Side] | None = None
    """Height and width that every image is resized to; null where all have one size."""
    channels: Literal[1, 3] = 3
    """3 for images in colours, 1 for grey; they are converted."""

    @property
    def labelled(self) -> tuple[str, object]:
        return "labels", self.labels

    def given(self) -> bool:
        return self.test is not None

    def found(self) -> RawExamples:
        train = self._part("path", self.path)
        return RawExamples(train, self._part("test", self.test) if self.test else None)

    def load(self) -> Split:
        for part in self.known[0].parts:
            if isinstance(part.inputs, Records):
                part.inputs.check()
        return super().load()

    def _part(self, path: str, pattern: Path) -> RawPart:
        files = [Path(name) for name in sorted(glob.glob(str(pattern)))]  # noqa: PTH207  # an absolute one
        if not files:
            raise missing(path, pattern)
        indices: list[Index] = []
        for file in files:
            with reading(path, file):
                indices.append(indexed(path, file, self.labels))
        if not sum(map(len, indices)):
            raise refuse(path, str(pattern), "has no records")
        indices = [index for index in indices if len(index)]
        kinds = {index.labels.dtype.kind + str(index.labels.shape[1:]) for index in indices}
        if len(kinds) > 1:
            rule = f"is of another type or length in some files of {pattern} than in others"
            raise refuse("labels", self.labels, rule)
        records = self._records(path, files, indices)
        return RawPart(records, np.concatenate([index.labels for index in indices]))

    def _records(self, path: str, files: Sequence[Path], indices: Sequence[Index]) -> Records:
        """The inputs, as the first record has them."""
        told = features(indices[0].record(0))
        if self.inputs not in told:
            hint = did_you_mean(self.inputs, told)
            raise refuse("inputs", self.inputs, f"is no feature of {files[0]}", hint)
        value = value_of(told[self.inputs])
        if not isinstance(value, bytes):
            return Records(self, indices, value.shape, value.dtype, "numbers")
        size = dimensions(value)
        if self.stored == "image" or (self.stored == "auto" and size):
            if size is None:
                rule = "is no PNG, JPEG, GIF or BMP in the first record"
                raise refuse("inputs", self.inputs, rule, "data.stored=bytes")
            return Records(
                self, indices, (*(self.size or size), self.channels), np.dtype(np.uint8), "image"
            )
        dtype = np.dtype(self.dtype).newbyteorder("<")
        if not value or len(value) % dtype.itemsize:
            rule = f"has {len(value)} bytes in the first record, which are no row of {self.dtype}"
            raise refuse("inputs", self.inputs, rule, "data.dtype=float32 if these are floats")
        return Records(self, indices, (len(value) // dtype.itemsize,), dtype, "bytes")


class Records:
    """The inputs of records, read where they lie when they are asked for."""

    def __init__(
        self,
        declared: TfRecord,
        indices: Sequence[Index],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        stored: Literal["numbers", "image", "bytes"],
    ) -> None:
        self._declared = declared
        self._indices = indices
        self._starts = np.cumsum([0, *map(len, indices)])
        self._stored = stored
        self.shape = (int(self._starts[-1]), *shape)
        self.dtype = dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Key) -> NDArray[Any]:
        numbers = np.arange(len(self))[key]
        values = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        for i, number in enumerate(numbers):
            values[i] = self._input(int(number))
        return values

    def check(self) -> None:
        """Whether every byte is as it was written, by the checksums that the records carry.

        Raises:
            Refused: naming the first record that is not.
        """
        for index in self._indices:
            index.check()

    def _input(self, number: int) -> NDArray[Any]:
        which = int(np.searchsorted(self._starts, number, "right")) - 1
        index, name = self._indices[which], self._declared.inputs
        record = number - int(self._starts[which])
        where = f"in record {record} of {index.file}"
        told = features(index.record(record))
        if name not in told:
            raise refuse("inputs", name, f"is missing {where}")
        value = value_of(told[name])
        if self._stored == "image" and isinstance(value, bytes):
            try:
                return decoded(value, self.shape[1:], resize=self._declared.size is not None)
            except Refused as refused:
                [problem] = refused.problems
                raise refuse("inputs", name, f"{problem.rule} {where}", problem.hint) from None
        if self._stored == "bytes" and isinstance(value, bytes):
            if len(value) == self.shape[1] * self.dtype.itemsize:
                return np.frombuffer(value, self.dtype)
            rule = f"has {len(value)} bytes {where}, and {self.shape[1] * self.dtype.itemsize}"
            raise refuse("inputs", name, f"{rule} in the first", "all inputs need one shape")
        if isinstance(value, bytes) or value.dtype != self.dtype or self._stored != "numbers":
            raise refuse("inputs", name, f"is of another type {where} than in the first")
        if value.shape != self.shape[1:]:
            rule = f"has {len(value)} numbers {where}, and {self.shape[1]} in the first"
            raise refuse("inputs", name, rule, "all inputs need one shape")
        return value
