"""Folders of images: which files are in them, and what tells that one has changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from typing import NamedTuple

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
"""The formats that TensorFlow decodes; of a GIF the first picture."""
KEPT_FORMAT = 1
"""Raised when the same files come to be read as other pixels."""


class ImageFile(NamedTuple):
    """A file, and what is another after a change of it."""

    path: str
    size: int
    changed: int
    """When it was last written, in nanoseconds."""


def image_files(
    folder: str | os.PathLike[str], endings: Sequence[str] = ENDINGS
) -> Iterator[ImageFile]:
    """The images in a folder and in its subfolders, in the order of their names.

    A folder's own files come before those of its subfolders. Links to folders are not followed.
    """
    folders: list[str] = []
    files: list[tuple[str, os.DirEntry[str]]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if not entry.is_symlink():
                    folders.append(entry.name)
            elif entry.name.lower().endswith(tuple(endings)):
                files.append((entry.name, entry))
    for _, entry in sorted(files, key=lambda named: named[0]):
        size = changed = 0
        with suppress(OSError):  # a link to nothing: whoever opens it is told
            status = entry.stat()
            size, changed = status.st_size, status.st_mtime_ns
        yield ImageFile(entry.path, size, changed)
    for name in sorted(folders):
        yield from image_files(os.path.join(folder, name), endings)  # noqa: PTH118  # a Path costs more


def listing_digest(files: Iterable[tuple[object, int, int]]) -> str:
    """What is another where a file has changed: each with its size and the time of its change."""
    listed = "\n".join(f"{path}\0{size}\0{changed}" for path, size, changed in files)
    return sha256(listed.encode(errors="surrogateescape")).hexdigest()


def fingerprint(what: object, listing: str) -> str:
    """What is another where `what` is made of the files of a listing, or they have changed.

    The version of TensorFlow counts, whose decoders may come to give other pixels.
    """
    made = f"{KEPT_FORMAT} {version('tensorflow')} {what} {listing}"
    return sha256(made.encode()).hexdigest()
