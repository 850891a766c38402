"""The size of an image, from the first bytes of its file."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

_STANDALONE = {0x01, *range(0xD0, 0xD9)}
"""JPEG markers without a segment after them."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG markers of a frame, whose header has the size (ITU-T T.81, B.1.1.3)."""


def dimensions(image: Path | bytes) -> tuple[int, int] | None:
    """Height and width of a PNG, JPEG, GIF or BMP; None for any other file."""
    with BytesIO(image) if isinstance(image, bytes) else image.open("rb") as opened:
        head = opened.read(26)
        try:
            if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
                width, height = struct.unpack(">II", head[16:24])
            elif head[:6] in (b"GIF87a", b"GIF89a"):
                width, height = struct.unpack("<HH", head[6:10])
            elif head.startswith(b"BM"):
                width, height = struct.unpack("<ii", head[18:26])
            elif head.startswith(b"\xff\xd8"):
                opened.seek(2)
                return _jpeg(opened)
            else:
                return None
        except struct.error:  # the file ends too soon
            return None
    return abs(height), width  # a BMP that is written from the top down has a negative height


def _jpeg(opened: BinaryIO) -> tuple[int, int] | None:
    """The size in the first frame header, jumping over what stands before it."""
    while opened.read(1) == b"\xff":
        while (marker := opened.read(1)) == b"\xff":  # fill bytes
            pass
        if not marker or marker[0] in _STANDALONE:
            continue
        (length,) = struct.unpack(">H", opened.read(2))
        if marker[0] in _FRAMES:
            _, height, width = struct.unpack(">BHH", opened.read(5))
            return height, width
        opened.seek(length - 2, 1)
    return None
