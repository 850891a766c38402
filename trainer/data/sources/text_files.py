"""Text files, plain or packed by gzip, read by line and never beyond what memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from gzip import GzipFile
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, cast

from schedules.declaration import refuse

from ..files import packed, packer_of
from ..on_disk import available_memory

LONGEST_LINE = 2**24
"""The characters of a line, beyond which a file is no text of lines."""


@contextmanager
def text_lines(path: str, file: Path) -> Iterator[Iterator[str]]:
    """The lines of a file in UTF-8, or of what gzip has packed in it.

    A small packed file may unpack to more than any machine has: its lines end in a refusal where
    they take more than the free memory, and so does a line of more than `LONGEST_LINE`.

    Raises:
        Refused: when another program has packed the file.
        OSError: when it can't be read.
    """
    packer = packer_of(file)
    if packer not in ("", "gzip"):
        raise packed(path, file, packer)
    with file.open("rb") as opened:
        stream = cast(BinaryIO, GzipFile(fileobj=opened)) if packer else opened
        with TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            yield _lines(path, file, text)


def _lines(path: str, file: Path, text: TextIOWrapper) -> Iterator[str]:
    room = available_memory()
    while line := text.readline(LONGEST_LINE):
        room -= len(line)
        if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
            rule = f"has a line of more than {LONGEST_LINE:,} characters, and is no table"
            raise refuse(path, str(file), rule)
        if room < 0:
            raise refuse(path, str(file), "holds more than the free memory of this machine")
        yield line
