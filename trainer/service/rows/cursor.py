"""How far somebody has read a file that only grows, unless it is cut back and made again.

A run that goes on cuts its rows back to the checkpoint, and writes other ones of the same length in
their place. So a cursor has a check of the bytes before it besides their number.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

CHECKED_BYTES = 512
"""How many bytes before the place are compared: of rows made again, the speeds differ."""


@dataclass(frozen=True)
class Cursor:
    """A place at the end of a line, and what stood before it."""

    offset: int
    check: str

    @classmethod
    def at(cls, descriptor: int, offset: int) -> Self:
        """The cursor at a place of an open file."""
        return cls(offset, _check(descriptor, offset))

    @classmethod
    def start(cls) -> Self:
        """The cursor of whoever has read nothing."""
        return cls(0, sha256().hexdigest()[:16])

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` gave.

        Raises:
            ValueError: when it is none.
        """
        if not (match := re.fullmatch(r"(\d{1,18})-([0-9a-f]{16})", text)):
            raise ValueError("is no cursor")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.offset}-{self.check}"

    def holds(self, descriptor: int) -> bool:
        """Whether the file still has before this place what it had then."""
        is_long_enough = os.fstat(descriptor).st_size >= self.offset
        return is_long_enough and _check(descriptor, self.offset) == self.check


def _check(descriptor: int, offset: int) -> str:
    begin = max(0, offset - CHECKED_BYTES)
    return sha256(os.pread(descriptor, offset - begin, begin)).hexdigest()[:16]
