"""Where the records of a TFRecord file are, and what they hold, without TensorFlow.

A record is its length (8 bytes, little-endian), a checksum of that, the content, and a checksum of
the content (tensorflow/core/lib/io/record_writer.h). The checksums are CRC-32C, rotated and added
to, so that those of checksums differ from them.
"""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, did_you_mean, refuse

from .tf_example import features, value_of

CACHE = "scheduled-training"
FORMAT = 1
ARRAYS = ("starts", "lengths", "labels")


class Index:
    """The records of one file: where each begins, how long it is, and its label."""

    def __init__(
        self, path: str, file: Path, starts: NDArray[np.int64], lengths: NDArray[np.int64],
        labels: NDArray[Any],
    ) -> None:  # fmt: skip
        self.path = path
        self.file = file
        self.starts = starts
        self.lengths = lengths
        self.labels = labels

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, number: int) -> bytes:
        """The content of a record."""
        start, length = int(self.starts[number]), int(self.lengths[number])
        return os.pread(_opened(self.file, _stamp(self.file)), length, start)

    def check(self) -> None:
        """Whether every content has its checksum; noted, so that a file is looked at once.

        Raises:
            Refused: naming the first record that is not as it was written.
        """
        import tensorflow as tf

        noted = _kept(self.file, "checked")
        if noted is not None and noted.exists():
            return
        count = 0
        try:
            for _ in tf.data.TFRecordDataset(str(self.file)).as_numpy_iterator():
                count += 1
        except tf.errors.DataLossError:
            raise _corrupt(self.path, self.file, count) from None
        if noted is not None:
            noted.touch()


def indexed(path: str, file: Path, label: str) -> Index:
    """The index of a file, from the user's cache or made now.

    The cache knows a file by its place, size and time of change. It is one folder,
    `~/.cache/scheduled-training` (`XDG_CACHE_HOME` moves it), and may be deleted at any time;
    nothing is ever written beside the data.

    Raises:
        Refused: when the file is no TFRecord file, is cut off or corrupt, or lacks the label.
        OSError: when it can't be read.
    """
    kept = _kept(file, f"{label}.npz")
    if kept is not None and kept.exists():
        try:
            with np.load(kept, allow_pickle=False) as arrays:
                return Index(
                    path, file, *(arrays[name] for name in ("starts", "lengths", "labels"))
                )
        except (OSError, ValueError, KeyError):
            pass  # it is made anew
    starts, lengths = _walked(path, file)
    index = Index(path, file, starts, lengths, np.zeros(0))
    index.labels = _labels(index, label)
    if kept is not None:
        draft = kept.with_name(f"{kept.stem}.{os.getpid()}.npz")
        np.savez(draft, starts=starts, lengths=lengths, labels=index.labels)
        draft.replace(kept)
    return index


def _walked(path: str, file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the contents of all records begin, and how long they are."""
    size = file.stat().st_size
    starts: list[int] = []
    heads: list[bytes] = []
    position = 0
    with file.open("rb") as opened:
        while position < size:
            head = os.pread(opened.fileno(), 12, position)
            length = int.from_bytes(head[:8], "little")
            if len(head) < 12 or position + 16 + length > size:
                heads.append(head)
                break
            starts.append(position + 12)
            heads.append(head)
            position += 16 + length
    told = np.frombuffer(b"".join(head for head in heads if len(head) == 12), np.uint8)
    told = told.reshape(-1, 12)
    sums = told[:, 8:].copy().view("<u4")[:, 0]
    odd = np.flatnonzero(_masked(_crc32c(told[:, :8])) != sums)
    if len(odd):
        if heads[0].startswith((b"\x1f\x8b", b"\x78")):
            rule = "is compressed, and records of it can't be read one by one"
            raise refuse(path, str(file), rule, "write it without compression")
        if odd[0] == 0:
            raise refuse(path, str(file), "is no TFRecord file")
        raise _corrupt(path, file, int(odd[0]))
    if len(heads) > len(starts):
        raise refuse(path, str(file), f"is cut off in record {len(starts)}", "copy it again")
    lengths = told[:, :8].copy().view("<i8")[:, 0]
    return np.array(starts, np.int64), lengths.astype(np.int64)


def _labels(index: Index, name: str) -> NDArray[Any]:
    """The label of every record: `[n]` of int64 or text, or `[n, targets]` of float32."""
    found: list[Any] = []
    for i in range(len(index)):
        try:
            told = features(index.record(i))
        except Exception:  # protobuf's own error, which has moved before
            rule = f"holds no tf.train.Example in record {i}"
            raise refuse(index.path, str(index.file), rule) from None
        if name not in told:
            rule, hint = f"is no feature of record {i} of {index.file}", did_you_mean(name, told)
            raise refuse("labels", name, rule, hint)
        value = value_of(told[name])
        found.append(value.decode(errors="replace") if isinstance(value, bytes) else value)
    try:
        return np.array(found).reshape(len(found), -1) if found else np.zeros(0, np.int64)
    except ValueError:
        rule = f"has not as many numbers in every record of {index.file}"
        raise refuse("labels", name, rule) from None


def _corrupt(path: str, file: Path, record: int) -> Refused:
    rule = f"is corrupt in record {record}: its checksum is another one"
    return refuse(path, str(file), rule, "copy it again")


def _kept(file: Path, what: str) -> Path | None:
    """Where something found out about a file is kept, if the cache can be written to."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / CACHE
    name = f"{FORMAT} {file} {_stamp(file)} {what}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    return folder / f"records-{sha256(name.encode()).hexdigest()[:32]}{Path(what).suffix}"


def _stamp(file: Path) -> tuple[int, int]:
    told = file.stat()
    return told.st_size, told.st_mtime_ns


@lru_cache(maxsize=64)
def _opened(file: Path, stamp: tuple[int, int]) -> int:
    return os.open(file, os.O_RDONLY)


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint32]:
    """What each byte does to a CRC-32C (Castagnoli's polynomial, reflected)."""
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
