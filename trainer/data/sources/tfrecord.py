"""Examples in TFRecord files."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import Refused, Whole, refuse

from ..examples import Split
from ..files import File, missing, reading
from ..inputs import Inputs, Key
from ..raw_data import RawExamples, RawPart
from ..trees import leaves
from .by_name import ByName, Named, Several
from .image_size import dimensions
from .images import decode_image
from .tf_example import features, value_of
from .tfrecord_index import RecordIndex, open_index

Side = Annotated[Whole, Field(ge=1)]


class TfRecord(ByName):
    """`tf.train.Example`s in TFRecord files.

    An index of where each record begins, and of the labels, is made once and cached; examples can
    then be read in any order (see `tfrecord_index.py`). Files that GZIP or ZLIB has compressed are
    unpacked into a temporary file first, by every process. Inputs are numbers (a `float_list` or
    `int64_list`), an image in a file format, or bytes of a `dtype`.
    """

    kind: Literal["tfrecord"] = "tfrecord"
    path: File
    """The file, or a pattern such as data/train-*.tfrecord, whose files follow by their names."""
    test: File | None = None
    """Another file or pattern, to evaluate by; null to hold some records out."""
    inputs: Named[str] = "image"
    """The name of the feature that is the input; or of several, by name."""
    labels: str = "label"
    """The name of the feature that is the label."""
    targets: Several[str] | None = None
    """The names of several features in the place of `labels`, each a label by its name."""
    weights: str | None = None
    """The name of the feature that says what each example counts for."""
    stored: Literal["auto", "image", "bytes"] = "auto"
    """What bytes are: an encoded image, or plain values of `dtype`; `auto`: an image if one is."""
    dtype: Literal["uint8", "int16", "int32", "int64", "float16", "float32", "float64"] = "uint8"
    """The type of plain values in bytes, little-endian."""
    size: tuple[Side, Side] | None = None
    """Height and width that every image is resized to; null where all have one size."""
    channels: Literal[1, 3] = 3
    """3 for images in colours, 1 for grey; they are converted."""

    what: ClassVar[str] = "feature"

    def has_test_part(self) -> bool:
        return self.test is not None

    def read(self) -> RawExamples:
        train = self._part("path", self.path)
        return RawExamples(train, self._part("test", self.test) if self.test else None)

    def load(self) -> Split:
        for part in self.contents.raw.parts:
            records = leaves(part.inputs)[0]  # which all inputs are of
            if isinstance(records, RecordInputs):
                records.check()
        return super().load()

    def _part(self, path: str, pattern: Path) -> RawPart:
        files = [Path(name) for name in sorted(glob.glob(str(pattern)))]  # noqa: PTH207  # an absolute one
        if not files:
            raise missing(path, pattern)
        in_memory = {name: field for field, name in self._in_memory()}
        indices: list[RecordIndex] = []
        for file in files:
            with reading(path, file):
                indices.append(open_index(path, file, in_memory))
        if not sum(map(len, indices)):
            raise refuse(path, str(pattern), "has no records")
        indices = [index for index in indices if len(index)]
        for name, field in in_memory.items():
            arrays = [index.values[name] for index in indices]
            if len({array.dtype.kind + str(array.shape[1:]) for array in arrays}) > 1:
                rule = f"is of another type or length in some files of {pattern} than in others"
                raise refuse(field, name, rule)
        first = features(indices[0].record(0))

        def read(field: str, name: str) -> Inputs:
            if field == "inputs":
                self.check_name(field, name, first, str(files[0]))
                return self._records(name, value_of(first[name]), indices)
            values = np.concatenate([index.values[name] for index in indices])
            return values[:, 0] if field == "weights" and values.shape[1:] == (1,) else values

        return self.part(read)

    def _in_memory(self) -> Iterator[tuple[str, str]]:
        """Yields the features that are read with the index, with the fields that name them."""
        for field in (self.label_field(), "weights"):
            chosen = self.chosen(field)
            for name in leaves(chosen) if chosen is not None else ():
                yield field, name

    def _records(self, name: str, value: Any, indices: Sequence[RecordIndex]) -> RecordInputs:
        """The inputs, whose shape and type are those of the `value` of the first record."""
        if not isinstance(value, bytes):
            return RecordInputs(self, name, indices, value.shape, value.dtype, "numbers")
        size = dimensions(value)
        if self.stored == "image" or (self.stored == "auto" and size):
            if size is None:
                rule = "is no PNG, JPEG, GIF or BMP in the first record"
                raise refuse("inputs", name, rule, "data.stored=bytes")
            return RecordInputs(
                self,
                name,
                indices,
                (*(self.size or size), self.channels),
                np.dtype(np.uint8),
                "image",
            )
        dtype = np.dtype(self.dtype).newbyteorder("<")
        if not value or len(value) % dtype.itemsize:
            rule = f"has {len(value)} bytes in the first record, which are no row of {self.dtype}"
            raise refuse("inputs", name, rule, "data.dtype=float32 if these are floats")
        return RecordInputs(self, name, indices, (len(value) // dtype.itemsize,), dtype, "bytes")


class RecordInputs:
    """The inputs of all records, read from their files on demand."""

    def __init__(
        self,
        declared: TfRecord,
        name: str,
        indices: Sequence[RecordIndex],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        stored: Literal["numbers", "image", "bytes"],
    ) -> None:
        self._declared = declared
        self._name = name
        self._indices = indices
        self._starts = np.cumsum([0, *map(len, indices)])
        self._stored = stored
        self.shape = (int(self._starts[-1]), *shape)
        self.dtype = dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Key) -> NDArray[Any]:
        row_index = np.arange(len(self))[key]
        values = np.empty((len(row_index), *self.shape[1:]), self.dtype)
        for i, number in enumerate(row_index):
            values[i] = self._input(int(number))
        return values

    def check(self) -> None:
        """Checks every byte by the checksums of the records.

        Raises:
            Refused: naming the first record that is not as it was written.
        """
        for index in self._indices:
            index.check()

    def _input(self, number: int) -> NDArray[Any]:
        file_number = int(np.searchsorted(self._starts, number, "right")) - 1
        index, name = self._indices[file_number], self._name
        record = number - int(self._starts[file_number])
        where = f"in record {record} of {index.file}"
        by_name = features(index.record(record))
        if name not in by_name:
            raise refuse("inputs", name, f"is missing {where}")
        value = value_of(by_name[name])
        if self._stored == "image" and isinstance(value, bytes):
            try:
                return decode_image(value, self.shape[1:], resize=self._declared.size is not None)
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
