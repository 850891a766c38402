"""A compressed file as a temporary one that can be read anywhere."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from schedules.declaration import refuse

from ..files import cache_folder, unreadable

PIECE = 2**20
"""The bytes that are unpacked at a time."""


def unpacked(path: str, file: Path, packer: str) -> int:
    """A descriptor of what a file holds, which `packer` (GZIP or ZLIB) has compressed.

    The temporary file is in the user's cache folder, where nobody else sees it, and is gone with
    the process.

    Raises:
        Refused: when the file is cut off or damaged, or the disk has no room for what it holds.
    """
    with TemporaryFile(dir=cache_folder()) as temporary:
        pieces = _gzip_pieces(file) if packer == "GZIP" else _zlib_pieces(file)
        try:
            for piece in pieces:
                _write(path, file, temporary.fileno(), piece)
        except (zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise unreadable(path, file, error) from None
        return os.dup(temporary.fileno())


def _write(path: str, file: Path, descriptor: int, piece: bytes) -> None:
    try:
        while piece:
            piece = piece[os.write(descriptor, piece) :]
    except OSError:
        rule = "is compressed, and holds more than the cache folder has room for"
        hint = "XDG_CACHE_HOME=FOLDER names another one"
        raise refuse(path, str(file), rule, hint) from None


def _gzip_pieces(file: Path) -> Iterator[bytes]:
    with gzip.open(file, "rb") as opened:
        while piece := opened.read(PIECE):
            yield piece


def _zlib_pieces(file: Path) -> Iterator[bytes]:
    decompressor = zlib.decompressobj()
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            while piece:
                yield decompressor.decompress(piece, PIECE)
                piece = decompressor.unconsumed_tail
    yield decompressor.flush()
    if not decompressor.eof:
        raise EOFError("it ends before its end is marked")
