"""The files of one checkpoint: read, and checked against what was written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from schedules.declaration.plain_files import json_value, open_plain, read_plain

FORMAT = 2
STATE = "state.npz"
STREAM = "stream/"
"""What the names of arrays begin with that tell a place in a stream of examples."""
MAX_MANIFEST_BYTES = 64 * 2**20
Arrays = dict[str, NDArray[Any]]


class DamagedCheckpointError(Exception):
    """A checkpoint that can't be trusted, and why."""


@dataclass(frozen=True)
class Saved:
    """The content of a checkpoint: arrays by name, and the run's state in JSON."""

    step: int
    arrays: Arrays
    """Those of the network."""
    about: dict[str, Any]
    stream: Arrays = field(default_factory=dict)
    """The place in a stream of examples, where they come from one."""


@dataclass(frozen=True)
class Manifest:
    """What is known of a checkpoint before its arrays are read: their names, and the JSON state."""

    step: int
    array_names: frozenset[str]
    about: dict[str, Any]


def read(path: Path) -> Saved:
    """Reads the checkpoint in a folder and checks every byte of it.

    Raises:
        DamagedCheckpointError: when the files differ from what the manifest says.
    """
    body = _body(path)
    with _damaged(path):
        content = read_plain(path / STATE, body["files"][STATE]["bytes"], follow_links=False)
        if body["files"] != {STATE: fingerprint(content)}:
            raise DamagedCheckpointError(f"{STATE} does not match its checksum")
        with np.load(path / STATE, allow_pickle=False) as arrays:
            network = {name: arrays[name] for name in arrays if not name.startswith(STREAM)}
            stream = {
                name.removeprefix(STREAM): arrays[name]
                for name in arrays
                if name.startswith(STREAM)
            }
            return Saved(body["step"], network, body["about"], stream)


def read_manifest(path: Path) -> Manifest:
    """What is known of the checkpoint in a folder by its manifest and the names of its arrays.

    Raises:
        DamagedCheckpointError: when these can't be read.
    """
    body = _body(path)
    with _damaged(path), open_plain(path / STATE, follow_links=False) as file:
        with ZipFile(file) as arrays:
            names = frozenset(name.removesuffix(".npy") for name in arrays.namelist())
        return Manifest(body["step"], names, body["about"])


def _body(path: Path) -> dict[str, Any]:
    """What the manifest of the checkpoint in a folder says.

    Raises:
        DamagedCheckpointError: when it is not as it was written, or of another format.
    """
    with _damaged(path):
        manifest = json_value(
            read_plain(path / "manifest.json", MAX_MANIFEST_BYTES, follow_links=False)
        )
        body: dict[str, Any] = manifest["body"]
        if manifest["sha256"] != digest(body):
            raise DamagedCheckpointError("manifest.json does not match its own checksum")
        if body["format"] != FORMAT:
            raise DamagedCheckpointError(
                f"is of format {body['format']}, and this version reads {FORMAT}"
            )
        return body


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Takes whatever goes wrong within the block for damage of the checkpoint in a folder."""
    try:
        yield
    except DamagedCheckpointError:
        raise
    except OSError as error:
        name = Path(error.filename or path).name
        raise DamagedCheckpointError(f"{name}: {error.strerror}") from None
    except Exception as error:
        raise DamagedCheckpointError(f"{type(error).__name__}: {error}") from None


def check_rows(about: Mapping[str, Any], rows: int | None) -> None:
    """Whether `metrics.jsonl` still has all the rows from before a checkpoint.

    Raises:
        DamagedCheckpointError: when its `rows` bytes are fewer.
    """
    if rows is not None and about["record"] > rows:
        before = about["record"]
        raise DamagedCheckpointError(f"metrics.jsonl has {rows} of the {before} bytes before it")


def digest(body: Any) -> str:
    """A fingerprint of what the manifest says."""
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def fingerprint(content: bytes | memoryview) -> dict[str, int | str]:
    """The size and the checksum of a file."""
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}


class FingerprintedFile(io.RawIOBase):
    """Passes on to a file what is appended to it, and knows the fingerprint of that.

    A state in memory as a whole would be there twice. A zip file in it has sizes after its
    members, as nothing can be gone back to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._checksum = sha256()
        self._bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        count = memoryview(content).nbytes
        self._file.write(content)
        self._checksum.update(content)
        self._bytes += count
        return count

    def fingerprint(self) -> dict[str, int | str]:
        """What `fingerprint` says of all that was written."""
        return {"bytes": self._bytes, "sha256": self._checksum.hexdigest()}
