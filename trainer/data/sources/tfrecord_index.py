"""The index of a TFRecord file: where its records begin, and their labels; without TensorFlow.

A record is its length (8 bytes, little-endian), a checksum of that, the content, and a checksum of
the content (tensorflow/core/lib/io/record_writer.h). A checksum is a masked CRC-32C: rotated, and a
constant added.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, did_you_mean, refuse

from ..files import cache_folder, packed, packer_of
from .tf_example import features, value_of
from .unpacked import unpacked

CACHE_FORMAT = 2
CHECKED_BYTES = 2**22
"""The bytes of the records that are checked at a time."""


class RecordIndex:
    """The records of one file: where each begins, how long it is, and features by name."""

    def __init__(
        self, path: str, file: Path, starts: NDArray[np.int64], lengths: NDArray[np.int64],
        values: Mapping[str, NDArray[Any]],
    ) -> None:  # fmt: skip
        self.path = path
        self.file = file
        self.starts = starts
        self.lengths = lengths
        self.values = values
        self._stamp = stamp_of(file)
        self.changed = ""
        """The file, if it was no longer the indexed one when it was read."""

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, number: int) -> bytes:
        """The content of a record."""
        start, length = int(self.starts[number]), int(self.lengths[number])
        stamp = stamp_of(self.file)
        if stamp != self._stamp:
            self.changed = str(self.file)
        return os.pread(_descriptor(self.path, self.file, stamp), length, start)

    def check(self) -> None:
        """Checks the content of every record by its checksum, once a file: the cache notes it.

        Raises:
            Refused: naming the first record that is not as it was written.
        """
        import tensorflow as tf

        note = _cache_file(self.file, "checked")
        if note is not None and note.exists():
            return
        records = tf.data.TFRecordDataset(str(self.file), _packer(self.file))
        # Many at a time takes a sixth as long; one at a time tells which it is.
        at_once = max(1, CHECKED_BYTES // max(int(self.lengths.max()), 1)) if len(self) else 1
        count = 0
        try:
            with suppress(tf.errors.DataLossError):
                for _ in records.batch(at_once):
                    pass
                if note is not None:
                    note.touch()
                return
            for _ in records:
                count += 1
        except tf.errors.DataLossError:
            raise _corrupt(self.path, self.file, count) from None


def open_index(path: str, file: Path, fields: Mapping[str, str]) -> RecordIndex:
    """The index of a file, from the user's cache or made now.

    `fields` has the names of the features that are read with it, each with the field that names it.
    The cache knows a file by its path, size and time of change. The cache is one folder,
    `~/.cache/scheduled-training` (`XDG_CACHE_HOME` moves it), and may be deleted at any time;
    nothing is ever written beside the data.

    Raises:
        Refused: when the file is no TFRecord file, is cut off or corrupt, or lacks a feature.
        OSError: when the file can't be read.
    """
    cached = _cache_file(file, f"{' '.join(fields)}.npz")
    if cached is not None and cached.exists():
        try:
            with np.load(cached, allow_pickle=False) as arrays:
                values = {name: arrays[f"values {name}"] for name in fields}
                return RecordIndex(path, file, arrays["starts"], arrays["lengths"], values)
        except (OSError, ValueError, KeyError):
            pass  # the index is made anew
    starts, lengths = _scan(path, file)
    index = RecordIndex(path, file, starts, lengths, {})
    index.values = _values(index, fields)
    if cached is not None:
        draft = cached.with_name(f"{cached.stem}.{os.getpid()}.npz")
        named: dict[str, Any] = {f"values {name}": x for name, x in index.values.items()}
        np.savez(draft, starts=starts, lengths=lengths, **named)
        draft.replace(cached)
    return index


def _scan(path: str, file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the contents of all records begin, and how long they are."""
    descriptor = _descriptor(path, file, stamp_of(file))
    size = os.fstat(descriptor).st_size
    starts: list[int] = []
    headers: list[bytes] = []
    position = 0
    while position < size:
        header = os.pread(descriptor, 12, position)
        headers.append(header)
        length = int.from_bytes(header[:8], "little")
        if len(header) < 12 or position + 16 + length > size:
            break
        starts.append(position + 12)
        position += 16 + length
    table = np.frombuffer(b"".join(header for header in headers if len(header) == 12), np.uint8)
    table = table.reshape(-1, 12)
    checksums = table[:, 8:].copy().view("<u4")[:, 0]
    corrupt = np.flatnonzero(_masked(_crc32c(table[:, :8])) != checksums)
    if len(corrupt):
        if corrupt[0] == 0 and (packer := packer_of(file)) not in ("", "gzip"):
            raise packed(path, file, packer)
        if corrupt[0] == 0:
            raise refuse(path, str(file), "is no TFRecord file")
        raise _corrupt(path, file, int(corrupt[0]))
    if len(headers) > len(starts):
        raise refuse(path, str(file), f"is cut off in record {len(starts)}", "copy it again")
    lengths = table[:, :8].copy().view("<i8")[:, 0]
    return np.array(starts, np.int64), lengths.astype(np.int64)


def _values(index: RecordIndex, fields: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Features of every record: `[n, 1]` of int64 or text, or `[n, k]` of float32."""
    values: dict[str, list[Any]] = {name: [] for name in fields}
    for i in range(len(index)):
        try:
            by_name = features(index.record(i))
        except Exception:  # protobuf's own error, which has moved before
            rule = f"holds no tf.train.Example in record {i}"
            raise refuse(index.path, str(index.file), rule) from None
        for name, field in fields.items():
            if name not in by_name:
                hint = did_you_mean(name, by_name)
                raise refuse(field, name, f"is no feature of record {i} of {index.file}", hint)
            value: Any = value_of(by_name[name])
            if isinstance(value, bytes):
                value = value.decode(errors="replace")
            values[name].append(value)
    arrays = {}
    for name, column in values.items():
        try:
            own = np.array(column).reshape(len(column), -1) if column else np.zeros(0, np.int64)
        except ValueError:
            rule = f"has not as many numbers in every record of {index.file}"
            raise refuse(fields[name], name, rule) from None
        arrays[name] = own
    return arrays


def _begins_record(header: bytes) -> bool:
    """Whether 12 bytes are a length with its checksum."""
    table = np.frombuffer(header, np.uint8)[None]
    if table.shape[1] < 12:
        return False
    return bool(_masked(_crc32c(table[:, :8]))[0] == table[:, 8:].copy().view("<u4")[0, 0])


def _corrupt(path: str, file: Path, record: int) -> Refused:
    rule = f"is corrupt in record {record}: its checksum is another one"
    return refuse(path, str(file), rule, "copy it again")


def _cache_file(file: Path, what: str) -> Path | None:
    """The cache's file for `what` is known of a data file; None where the cache is read-only."""
    folder = cache_folder()
    if folder is None:
        return None
    name = f"{CACHE_FORMAT} {file} {stamp_of(file)} {what}"
    return folder / f"records-{sha256(name.encode()).hexdigest()[:32]}{Path(what).suffix}"


def stamp_of(file: Path) -> tuple[int, int]:
    """A file's size and the time of its change, which are others where it is."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def _descriptor(path: str, file: Path, stamp: tuple[int, int]) -> int:
    """A file opened for reading, unpacked where it is compressed; another `stamp` opens it anew."""
    packer = _packer(file)
    return _unpacked(path, file, stamp, packer) if packer else os.open(file, os.O_RDONLY)


@cache
def _unpacked(path: str, file: Path, stamp: tuple[int, int], packer: str) -> int:
    """What a compressed file holds; it is never unpacked twice."""
    return unpacked(path, file, packer)


def _packer(file: Path) -> str:
    """How a file is compressed, in TensorFlow's words, by its first bytes."""
    if packer_of(file) == "gzip":
        return "GZIP"
    with file.open("rb") as opened:
        head = opened.read(12)
    # A record begins with its length, and 0x78 may be the first byte of one.
    is_zlib = len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0
    return "ZLIB" if is_zlib and not _begins_record(head) else ""


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint32]:
    """The table of CRC-32C for each byte (Castagnoli's polynomial, reflected)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


def _crc32c(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for byte in rows.T:
        crc = _table()[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return ~crc


def _masked(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    rotated = (crc >> 15) | (crc << 17)
    return (rotated + np.uint32(0xA282EAD8)).astype(np.uint32)
