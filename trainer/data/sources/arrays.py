"""Arrays in numpy's own files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy

from schedules.declaration import ABSENT, Problem, Refused, did_you_mean, refuse

from ..files import File, reading, unreadable
from ..inputs import Inputs, Packed
from ..raw_data import RawData, RawExamples, RawPart


class Npz(RawData):
    """Named arrays in an `.npz` file, as `np.savez` and `np.savez_compressed` write it.

    Test examples are two more arrays of it, those of a second file, or held out. Nothing in it is
    unpickled. An array that is not compressed is read where it lies.
    """

    kind: Literal["npz"] = "npz"
    path: File
    """The file."""
    inputs: str = "inputs"
    """The name of the array of inputs, `[n, ...]`."""
    labels: str = "labels"
    """The name of the array of labels: `[n]`, or `[n, targets]` for several numbers each."""
    test: File | None = None
    """Another file with the test examples; null for the same one, if names of them are given."""
    test_inputs: str | None = None
    """The name of the array of test inputs; null for `inputs` in the file `test`."""
    test_labels: str | None = None
    """The name of the array of test labels; null for `labels` in the file `test`."""

    @property
    def labelled(self) -> tuple[str, object]:
        return "labels", self.labels

    def given(self) -> bool:
        return self.test is not None or self.test_inputs is not None

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if (self.test_inputs is None) != (self.test_labels is None):
            name = "test_labels" if self.test_labels is None else "test_inputs"
            yield Problem(name, ABSENT, "is required, since the other of the two is given")

    def found(self) -> RawExamples:
        train = self._part("path", self.path, "inputs", "labels")
        if not self.given():
            return RawExamples(train, None)
        path, file = ("test", self.test) if self.test else ("path", self.path)
        names = ("test_inputs", "test_labels") if self.test_inputs else ("inputs", "labels")
        return RawExamples(train, self._part(path, file, *names))

    def _part(self, path: str, file: Path, inputs: str, labels: str) -> RawPart:
        with reading(path, file):
            try:
                with zipfile.ZipFile(file) as archive:
                    found = [self._opened(archive, name, file) for name in (inputs, labels)]
            except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
                raise unreadable(path, file, error) from None
            return RawPart(found[0], np.asarray(found[1][:]))

    def _opened(self, archive: zipfile.ZipFile, field: str, file: Path) -> Inputs:
        name = getattr(self, field)
        known = [entry.removesuffix(".npy") for entry in archive.namelist()]
        if name not in known:
            raise refuse(field, name, f"is no array of {file}", did_you_mean(name, known))
        entry = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
        try:
            with archive.open(entry) as member:
                shape, dtype, _ = header(member, field, name)
            if entry.compress_type == zipfile.ZIP_STORED:
                return _mapped(file, field, name, _offset(archive, entry))
        except Refused:
            raise
        except (ValueError, zipfile.BadZipFile) as error:
            raise unreadable(field, file / name, error) from None
        return Packed(file, entry.filename, shape, dtype)


class Npy(RawData):
    """Inputs and labels in `.npy` files of their own, as `np.save` writes them.

    They are read where they lie, so they may be larger than memory. Nothing is unpickled.
    """

    kind: Literal["npy"] = "npy"
    inputs: File
    """The file of inputs, `[n, ...]`."""
    labels: File
    """The file of labels: `[n]`, or `[n, targets]` for several numbers each."""
    test_inputs: File | None = None
    """The file of test inputs; null to hold some out."""
    test_labels: File | None = None
    """The file of test labels."""

    @property
    def labelled(self) -> tuple[str, object]:
        return "labels", str(self.labels)

    def given(self) -> bool:
        return self.test_inputs is not None

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if (self.test_inputs is None) != (self.test_labels is None):
            name = "test_labels" if self.test_labels is None else "test_inputs"
            yield Problem(name, ABSENT, "is required, since the other of the two is given")

    def found(self) -> RawExamples:
        train = self._part("inputs", "labels")
        return RawExamples(
            train, self._part("test_inputs", "test_labels") if self.given() else None
        )

    def _part(self, inputs: str, labels: str) -> RawPart:
        return RawPart(self._array(inputs), np.array(self._array(labels)[:]))

    def _array(self, field: str) -> Inputs:
        file: Path = getattr(self, field)
        with reading(field, file):
            try:
                return _mapped(file, field, str(file))
            except Refused:
                raise
            except ValueError as error:
                raise unreadable(field, file, error) from None


def header(member: Any, field: str, name: str) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """The shape and the type of an array, from the beginning of its file; whether columns lead.

    Raises:
        Refused: when it is no array of examples, or holds Python objects.
        ValueError: when it is no array.
    """
    version = npy.read_magic(member)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if dtype.hasobject:
        rule = "holds Python objects, which are never unpickled, since that can run any code"
        raise refuse(field, name, rule, "save an array of numbers, all of one shape")
    if not shape:
        raise refuse(field, name, "is a single value, and must be an array of examples")
    return shape, dtype, fortran


def _mapped(file: Path, field: str, name: str, offset: int = 0) -> Inputs:
    """The array that begins at `offset` of a file, not read until it is asked for."""
    with file.open("rb") as opened:
        opened.seek(offset)
        shape, dtype, fortran = header(opened, field, name)
        start = opened.tell()
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if file.stat().st_size < start + size:
        raise ValueError(f"it ends before its {size:,} bytes of {dtype}{list(shape)} do")
    if not size:
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C")


def _offset(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of a member that is not compressed begin, behind a header of its own."""
    with Path(str(archive.filename)).open("rb") as file:
        file.seek(entry.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2").tolist()
    return int(entry.header_offset + 30 + name + extra)
