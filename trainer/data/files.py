"""Paths of data files, and the refusals of files that can't be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from schedules.declaration import ABSENT, did_you_mean, refuse
from schedules.declaration.plain_files import open_plain

from ..runs import user_cache

File = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A path, relative to the working directory; a run records the absolute path in its config."""


@contextmanager
def reading(path: str, file: Path) -> Iterator[None]:
    """Turns errors of the operating system about `file` into a refusal of the override `path`.

    Raises:
        Refused: when the file is missing, with the name nearest to its own, or is not readable, as
            no pipe or device is.
    """
    try:
        if not file.is_dir():
            open_plain(file).close()
        yield
    except FileNotFoundError:
        raise missing(path, file) from None
    except OSError as error:
        raise refuse(path, str(file), f"can't be read: {error.strerror or error}") from None


def missing(path: str, file: Path, what: str = "file") -> Exception:
    """The refusal of a file that does not exist, with the nearest name in its folder."""
    folder = file.parent
    while not folder.exists():
        folder = folder.parent
    if folder != file.parent:
        return refuse(path, str(file), f"is no {what}: there is no folder {file.parent}")
    names = [entry.name for entry in folder.iterdir()]
    hint = did_you_mean(file.name, names) if 0 < len(names) <= 20 else ""
    return refuse(path, str(file), f"is no {what} that exists", hint)


PACKERS = {
    b"\x1f\x8b": ("gzip", "gunzip < {} > unpacked"),
    b"BZh": ("bzip2", "bunzip2 < {} > unpacked"),
    b"\xfd7zXZ": ("xz", "unxz < {} > unpacked"),
    b"(\xb5/\xfd": ("zstd", "unzstd < {} > unpacked"),
    b"PK\x03\x04": ("zip", "unzip {}"),
}
"""How files begin that a program has packed, its name, and the command that unpacks them."""


def packer_of(file: Path) -> str:
    """The program that packed a file, by how it begins; "" where none has."""
    with file.open("rb") as opened:
        head = opened.read(8)
    return next((name for mark, (name, _) in PACKERS.items() if head.startswith(mark)), "")


def packed(path: str, file: Path, packer: str) -> Exception:
    """The refusal of a packed file that can't be read as it is."""
    command = dict(PACKERS.values())[packer].format(file)
    return refuse(path, str(file), f"is packed by {packer}", f"unpack it: {command}")


def unreadable(path: str, file: Path, error: object) -> Exception:
    """The refusal of a file whose content is not what it should be."""
    message = " ".join(str(error).split())
    return refuse(path, str(file), f"can't be read: {message}" if message else "can't be read")


def cache_folder() -> Path | None:
    """The user's cache folder, made where it is not there; None where it can't be written to."""
    folder = user_cache.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def input_shape(
    path: str, stored: tuple[int, ...], declared: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The shape of one input: the `declared` one, or the one that the data has.

    Raises:
        Refused: when the two hold different counts of numbers, or when an input is a single number
            and no shape is declared.
    """
    if declared is None:
        if not stored:
            rule = "has inputs that are single numbers, and must have rows of them"
            raise refuse(path, ABSENT, rule, "data.shape=[1]")
        return stored
    size, stored_size = prod(declared), prod(stored)
    if size != stored_size:
        rule = f"has {size} numbers, and an input, of shape {list(stored)}, has {stored_size}"
        raise refuse("shape", list(declared), rule)
    return declared
