"""Folders of images: which files are in them, and what tells that one has changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from schedules.declaration.plain_files import open_descriptor

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
"""The formats that TensorFlow decodes; of a GIF the first picture."""
KEPT_FORMAT = 1
"""Raised when the same files come to be read as other pixels."""

READ_BYTES = 2**20
"""How much of a file that was listed with another size is read at a time."""
SETTLED = 3 * 10**9
"""After how many nanoseconds the time of a change tells of any further one; FAT has two seconds."""


class ImageFile(NamedTuple):
    """A file, and what is another after a change of it."""

    path: str
    size: int
    changed: int
    """When it was last written, in nanoseconds."""
    inode: int
    """Which file it is on its disk: another one where one took its place."""


def listed_file(file: Path) -> ImageFile:
    """A file with what the disk says of it now.

    Raises:
        OSError: when it is not there.
    """
    status = file.stat()
    return ImageFile(str(file), status.st_size, status.st_mtime_ns, status.st_ino)


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
        known = (0, 0, 0)
        with suppress(OSError):  # a link to nothing: whoever opens it is told
            status = entry.stat()
            known = status.st_size, status.st_mtime_ns, status.st_ino
        yield ImageFile(entry.path, *known)
    for name in sorted(folders):
        yield from image_files(os.path.join(folder, name), endings)  # noqa: PTH118  # a Path costs more


def read_listed(file: ImageFile) -> tuple[bytes, bool]:
    """What a file holds, and whether it still has the size and the time that it was listed with.

    Its inode is left out: some file systems of networks give one a new number while it is the same.
    Few calls of the system are made, for each of which the thread gives Python up.

    Raises:
        OSError: when it can't be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = open_descriptor(file.path, flags, follow_links=True)
    try:
        content = os.read(descriptor, file.size + 1)
        if len(content) != file.size:
            while more := os.read(descriptor, READ_BYTES):
                content += more
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return content, (status.st_size, status.st_mtime_ns) == (file.size, file.changed)


def listing_digest(files: Iterable[Sequence[object]]) -> str:
    """What is another where a file has changed: each with what the disk says of it."""
    listed = "\n".join("\0".join(map(str, file)) for file in files)
    return sha256(listed.encode(errors="surrogateescape")).hexdigest()


def content_identity(files: Sequence[ImageFile], listed: int) -> str | None:
    """What is another where the content of a file may be; None where that can't be told yet.

    A file that is written again within a tick of the disk's clock has the time that it had. So a
    file that was younger than the longest such tick tells nothing when it was `listed`, in
    nanoseconds.
    """
    if max((file.changed for file in files), default=0) > listed - SETTLED:
        return None
    return listing_digest(files)


def fingerprint(what: object, listing: str) -> str:
    """What is another where `what` is made of the files of a listing, or they have changed.

    The version of TensorFlow counts, whose decoders may come to give other pixels.
    """
    made = f"{KEPT_FORMAT} {version('tensorflow')} {what} {listing}"
    return sha256(made.encode()).hexdigest()
