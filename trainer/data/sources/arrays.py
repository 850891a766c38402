"""Arrays in numpy's own files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.lib import format as npy
from pydantic import Field

from schedules.declaration import ABSENT, Problem, Refused, did_you_mean, refuse

from ..files import File, packed, packer_of, reading, unreadable
from ..inputs import Inputs, Packed
from ..raw_examples import RawExamples
from ..raw_part import RawPart
from .by_name import ByName, Named, Several

Files = Annotated[Mapping[str, File], Field(min_length=1)]
"""Files by name."""
MAX_LENGTH = 2**63 - 1
"""The largest index of an array."""


class Npz(ByName):
    """Named arrays in an `.npz` file, as `np.savez` and `np.savez_compressed` write it.

    One of them is the input, or several by name: `inputs=[a,b]`; so with labels, in `targets`.
    Test examples are more arrays of the file, those of a second file, or held out. Nothing is
    unpickled. An array that is not compressed stays on disk until it is read.
    """

    kind: Literal["npz"] = "npz"
    has_order: ClassVar[bool] = True
    path: File
    """The file."""
    inputs: Named[str] = "inputs"
    """The name of the array of inputs, `[n, ...]`; or of several, by name."""
    labels: str = "labels"
    """The name of the array of labels: `[n]`, or `[n, targets]` for several numbers each."""
    targets: Several[str] | None = None
    """The names of several arrays of labels in the place of `labels`, each a label by its name."""
    weights: str | None = None
    """The name of the array that has what each example counts for."""
    test: File | None = None
    """Another file with the test examples; null for the same one, if names of them are given."""
    test_inputs: Named[str] | None = None
    """The name of the array of test inputs; null for `inputs` in the file `test`."""
    test_labels: str | None = None
    """The name of the array of test labels; null for `labels` in the file `test`."""
    test_targets: Several[str] | None = None
    """The names of the arrays of test labels, by those of `targets`."""
    test_weights: str | None = None
    """The name of the array of the tests' weights."""
    what: ClassVar[str] = "array"

    def has_test_part(self) -> bool:
        return self.test is not None or self.test_inputs is not None

    def read(self) -> RawExamples:
        train = self._part("path", self.path)
        if not self.has_test_part():
            return RawExamples(train, None)
        path, file = ("test", self.test) if self.test else ("path", self.path)
        return RawExamples(train, self._part(path, file, "test_" if self.test_inputs else ""))

    def _part(self, path: str, file: Path, prefix: str = "") -> RawPart:
        with opened_archive(path, file) as archive:
            return self.part(partial(self._array, archive, file), prefix)

    def _array(self, archive: zipfile.ZipFile, file: Path, field: str, name: str) -> Inputs:
        self.check_name(field, name, array_names(archive), str(file))
        return archived_array(archive, field, name, file)


class Npy(ByName):
    """Inputs and labels in `.npy` files of their own, as `np.save` writes them.

    Several inputs have a file and a name each: `inputs={a: a.npy, b: b.npy}`; so with labels, in
    `targets`. The files stay on disk until they are read and may be larger than memory. Nothing is
    unpickled.
    """

    kind: Literal["npy"] = "npy"
    has_order: ClassVar[bool] = True
    inputs: File | Files
    """The file of inputs, `[n, ...]`; or several, by name."""
    labels: File | None = None
    """The file of labels: `[n]`, or `[n, targets]` for several numbers each."""
    targets: Files | None = None
    """Several files of labels in the place of `labels`, each a label by its name."""
    weights: File | None = None
    """The file that has what each example counts for."""
    test_inputs: File | Files | None = None
    """The file of test inputs; null to hold some out."""
    test_labels: File | None = None
    """The file of test labels."""
    test_targets: Files | None = None
    """The files of test labels, by the names of `targets`."""
    test_weights: File | None = None
    """The file of the tests' weights."""
    what: ClassVar[str] = "file"

    def has_test_part(self) -> bool:
        return self.test_inputs is not None

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.labels is None and self.targets is None:
            hint = "data.labels=y.npy, or data.targets={a: a.npy} for several"
            yield Problem("labels", ABSENT, "is required", hint)

    def read(self) -> RawExamples:
        train = self.part(self._array)
        return RawExamples(train, self.part(self._array, "test_") if self.has_test_part() else None)

    def _array(self, field: str, file: Path) -> Inputs:
        return array_of_file(field, file)


def array_of_file(field: str, file: Path) -> Inputs:
    """The array of an `.npy` file that the override `field` names, left on disk.

    Raises:
        Refused: when there is no such file, or no such array in it.
    """
    with reading(field, file):
        if packer := packer_of(file):
            raise packed(field, file, packer)
        try:
            return _memory_map(file, field, str(file))
        except Refused:
            raise
        except ValueError as error:
            raise unreadable(field, file, error) from None


@contextmanager
def opened_archive(field: str, file: Path) -> Iterator[zipfile.ZipFile]:
    """An `.npz` file that the override `field` names.

    Raises:
        Refused: when there is no such file.
    """
    with reading(field, file):
        if (packer := packer_of(file)) not in ("", "zip"):
            raise packed(field, file, packer)
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise unreadable(field, file, error) from None


def array_names(archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays of an `.npz` file."""
    return [entry.removesuffix(".npy") for entry in archive.namelist()]


def archived_array(archive: zipfile.ZipFile, field: str, name: str, file: Path) -> Inputs:
    """An array of an `.npz` file by its name, which the override `field` says.

    Raises:
        Refused: when there is none.
    """
    names = array_names(archive)
    if name not in names:
        raise refuse(field, name, f"is no array of {file}", did_you_mean(name, names))
    entry = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
    try:
        with archive.open(entry) as member:
            shape, dtype, _ = _header(member, field, name)
        size = prod(shape) * dtype.itemsize
        if size > entry.file_size:
            raise ValueError(_too_short(size, shape, dtype))
        if entry.compress_type == zipfile.ZIP_STORED:
            return _memory_map(file, field, name, _data_offset(archive, entry))
    except Refused:
        raise
    except (ValueError, zipfile.BadZipFile) as error:
        raise unreadable(field, file / name, error) from None
    return Packed(file, entry.filename, shape, dtype)


def _header(member: Any, field: str, name: str) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """The shape and type of an array by the header of its file, and whether its order is Fortran's.

    Raises:
        Refused: when the array is a single value, or holds Python objects.
        ValueError: when the file has no array.
    """
    version = npy.read_magic(member)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"it has version {'.'.join(map(str, version))} of the format")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read_header(member)
    except ValueError:
        raise
    except Exception as error:  # numpy parses the header as Python, which fails in many ways
        raise ValueError(f"its header is spoilt: {type(error).__name__}") from None
    if not all(type(length) is int and 0 <= length <= MAX_LENGTH for length in shape):
        raise ValueError(f"its header has the shape {shape}")
    if prod(shape) * dtype.itemsize > MAX_LENGTH:
        raise ValueError(f"its header has the shape {shape}, which no memory holds")
    if dtype.hasobject:
        rule = "holds Python objects, which are never unpickled, since that can run any code"
        raise refuse(field, name, rule, "save an array of numbers, all of one shape")
    if not shape:
        raise refuse(field, name, "is a single value, and must be an array of examples")
    return shape, dtype, fortran


def _memory_map(file: Path, field: str, name: str, offset: int = 0) -> Inputs:
    """The array that begins at `offset` of a file, left on disk until it is read."""
    with file.open("rb") as opened:
        opened.seek(offset)
        shape, dtype, fortran = _header(opened, field, name)
        start = opened.tell()
    size = prod(shape) * dtype.itemsize
    if file.stat().st_size < start + size:
        raise ValueError(_too_short(size, shape, dtype))
    if not size:
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C")


def _too_short(size: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"it ends before its {size:,} bytes of {dtype}{list(shape)} do"


def _data_offset(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of an uncompressed member begin, behind its local header."""
    with Path(str(archive.filename)).open("rb") as file:
        file.seek(entry.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2").tolist()
    return int(entry.header_offset + 30 + name + extra)
