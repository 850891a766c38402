"""Examples in TFRecord files."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import PrivateAttr

from schedules.declaration import refuse

from ..examples import Split
from ..files import File, missing, reading
from ..inputs import Inputs
from ..ragged import RaggedRows
from ..raw_examples import RawExamples
from ..raw_part import RawPart
from ..trees import Tree, leaves
from .by_name import ByName, Named, Several
from .image_listing import content_identity, listed_file, listing_digest
from .image_size import dimensions
from .raw_images import RawImages
from .record_inputs import RecordImages, RecordInputs, Records
from .tf_example import features, value_of
from .tfrecord_index import RecordIndex, open_index, stamp_of


class TfRecord(ByName, RawImages):
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

    what: ClassVar[str] = "feature"
    _indices: list[RecordIndex] = PrivateAttr(default_factory=list)
    """Those of all files that were read."""

    def has_test_part(self) -> bool:
        return self.test is not None

    def has_labels(self, columns: Sequence[str]) -> bool:
        """Whether the first record has the features that are labels."""
        files = sorted(glob.glob(str(self.path)))  # noqa: PTH207  # an absolute one
        if not files:
            return True  # `read` says what is wrong
        with reading("path", Path(files[0])):
            index = open_index("path", Path(files[0]), {})
        labels = self.chosen(self.label_field())
        return not len(index) or {*leaves(labels or {})} <= features(index.record(0)).keys()

    def unlabelled(self, columns: Sequence[str]) -> Tree[Inputs]:
        plain = {"labels": None, "targets": None, "weights": None}
        return self.model_copy(update=plain)._part("path", self.path).inputs

    def read(self) -> RawExamples:
        train = self._part("path", self.path)
        return RawExamples(train, self._part("test", self.test) if self.test else None)

    def load(self) -> Split:
        _ = self.contents
        for index in self._indices:
            index.check()
        return super().load()

    def _part(self, path: str, pattern: Path) -> RawPart:
        listed = self.listing_time()
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
        self._indices.extend(indices)
        for name, field in in_memory.items():
            arrays = [index.values[name] for index in indices]
            if len({array.dtype.kind + str(array.shape[1:]) for array in arrays}) > 1:
                rule = f"is of another type or length in some files of {pattern} than in others"
                raise refuse(field, name, rule)
        first = features(indices[0].record(0))

        def read(field: str, name: str) -> Inputs:
            if field == "inputs":
                self.check_name(field, name, first, str(files[0]))
                records = Records(indices, name)
                return self._inputs_of(records, value_of(first[name]), files, listed)
            values = np.concatenate([index.values[name] for index in indices])
            return values[:, 0] if field == "weights" and values.shape[1:] == (1,) else values

        return self.part(read)

    def _in_memory(self) -> Iterator[tuple[str, str]]:
        """Yields the features that are read with the index, with the fields that name them."""
        for field in (self.label_field(), "weights"):
            chosen = self.chosen(field)
            for name in leaves(chosen) if chosen is not None else ():
                yield field, name

    def _inputs_of(
        self, records: Records, value: Any, files: Sequence[Path], listed: int
    ) -> Inputs:
        """The inputs, whose shape and type are those of the `value` of the first record.

        The files were looked at when it was `listed`, in nanoseconds.
        """
        name = records.feature
        if not isinstance(value, bytes):
            if self.ragged is not None:
                rows: Any = RaggedRows.uneven([records.value(i) for i in range(len(records))])
                if rows is not None:
                    return rows  # type: ignore[no-any-return]  # reads like inputs once padded
            return RecordInputs(records, value.shape, value.dtype)
        size = dimensions(value)
        if self.stored == "image" or (self.stored == "auto" and size):
            if size is None:
                rule = "is no PNG, JPEG, GIF or BMP in the first record"
                raise refuse("inputs", name, rule, "data.stored=bytes")
            decoding = self.decoding(self.size or size)
            listing = listing_digest((file, *stamp_of(file)) for file in files)
            identity = content_identity([listed_file(file) for file in files], listed)
            images = RecordImages(records, decoding, identity)
            return self.kept(images, (name, decoding), listing)
        dtype = np.dtype(self.dtype).newbyteorder("<")
        if not value or len(value) % dtype.itemsize:
            rule = f"has {len(value)} bytes in the first record, which are no row of {self.dtype}"
            raise refuse("inputs", name, rule, "data.dtype=float32 if these are floats")
        return RecordInputs(records, (len(value) // dtype.itemsize,), dtype, in_bytes=True)
