"""Fingerprints of data in files, remembered for as long as the files are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from .files import cache_folder
from .inputs import Subset
from .kept_rows import source_of
from .notes import Notes
from .on_disk import Stored

FORMAT = 1
"""Raised when the same data comes to have another fingerprint."""


def remembered(arrays: Sequence[tuple[str, Any]], digest: Callable[[], str]) -> str:
    """The fingerprint of named arrays: that of an earlier look at the same files, or a new one.

    Files are known by what the disk says of them. What lies in memory is looked at in any case;
    where other files take part, so is everything.
    """
    note = _note(arrays)
    if note is None:
        return digest()
    notes, name = note
    found = notes.read(name)
    if isinstance(found, str):
        return found
    new = digest()
    if not changed_file(arrays):
        notes.write(name, new)
    return new


def can_wait(arrays: Sequence[tuple[str, Any]]) -> bool:
    """Whether the fingerprint of named arrays is as good when it is made after they were read.

    It is where files that have changed by then are noticed. What is remembered costs no look and
    need not wait.
    """
    if not all(isinstance(array, np.ndarray) or _tells(array) for _, array in arrays):
        return False
    if not any(_tells(array) for _, array in arrays):
        return False
    note = _note(arrays)
    return note is None or not isinstance(note[0].read(note[1]), str)


def changed_file(arrays: Sequence[tuple[str, Any]]) -> str:
    """A file of the arrays that was no longer the listed one when it was read; "" for none."""
    return next(filter(None, (getattr(_source(array), "changed", "") for _, array in arrays)), "")


def identity_of(inputs: Any) -> str | None:
    """What tells that inputs in files are the same, without a look into them, if anything does.

    It is what the class of the files has as `identity`, with the rows and their preparation.
    """
    match inputs:
        case Stored():
            raw = identity_of(inputs.raw)
            return raw and f"{raw} {inputs.preparation!r}"
        case Subset():
            inner = identity_of(inputs.inputs)
            return inner and f"{inner} {sha256(inputs.row_index.tobytes()).hexdigest()}"
    found: str | None = getattr(source_of(inputs), "identity", None)
    return found


def _source(inputs: Any) -> Any:
    """What reads the files of inputs."""
    match inputs:
        case Stored():
            return _source(inputs.raw)
        case Subset():
            return _source(inputs.inputs)
    return source_of(inputs)


def _tells(inputs: Any) -> bool:
    """Whether inputs notice that a file has changed."""
    return hasattr(_source(inputs), "changed")


def _note(arrays: Sequence[tuple[str, Any]]) -> tuple[Notes, str] | None:
    """Where a fingerprint is noted, and its name; None where none is."""
    name = _name(arrays)
    folder = cache_folder() if name else None
    return None if name is None or folder is None else (Notes(folder / "images"), name)


def _name(arrays: Sequence[tuple[str, Any]]) -> str | None:
    """The name of a note on the arrays; None where none can be kept."""
    if all(identity_of(array) is None for _, array in arrays):
        return None  # what lies in memory alone is not hashed for a name that nothing would have
    parts = sha256(f"digest {FORMAT}".encode())
    for name, array in arrays:
        if isinstance(array, np.ndarray) and not array.dtype.hasobject:
            content = sha256(np.ascontiguousarray(array).data).hexdigest()
        elif (identity := identity_of(array)) is not None:
            content = identity
        else:
            return None
        parts.update(f"\n{name} {array.dtype} {array.shape} {content}".encode())
    return parts.hexdigest()
