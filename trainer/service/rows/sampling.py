"""A look at a long file of rows that nobody has read yet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from .short_rows import tables_of
from .table import Table

LINE_BYTES = 2048
"""How far behind a place the next whole line is looked for."""
SHORT_BYTES = 2**22
"""A part of the file that is read as a whole rather than here and there."""
_STEP = re.compile(rb'\{"step": ?(\d{1,19})[,}]')


def sampled(
    descriptor: int, size: int, points: int, begin: int | None, end: int | None
) -> tuple[dict[str, Table], bool]:
    """Rows with steps from `begin` up to `end`, and whether these are all of them.

    Where they are many, these are those at `points` even places of the file, the first and the
    last.
    """
    low = 0 if begin is None else _offset_of(descriptor, size, begin)
    high = size if end is None else _offset_of(descriptor, size, end)
    is_whole = high - low <= SHORT_BYTES
    if is_whole:
        content = os.pread(descriptor, high - low, low)
        lines = content[: content.rfind(b"\n") + 1]
    else:
        lines = b"".join(_lines(descriptor, low, high, points))
    return tables_of(lines), is_whole


def _lines(descriptor: int, low: int, high: int, count: int) -> Iterator[bytes]:
    """The line that begins at or behind each of so many places, without repeating one."""
    done = low
    yield from _first_line(descriptor, low)
    for place in range(1, count):
        begin = max(done, low + place * (high - low) // count)
        content = os.pread(descriptor, LINE_BYTES, begin)
        start = content.find(b"\n") + 1
        end = content.find(b"\n", start) + 1
        if start and end and begin + end <= high:
            done = begin + end - 1
            yield content[start:end]
    begin = max(done, high - LINE_BYTES)
    yield from os.pread(descriptor, high - begin, begin).splitlines(keepends=True)[1:][-2:]


def _first_line(descriptor: int, low: int) -> Iterator[bytes]:
    content = os.pread(descriptor, LINE_BYTES, low)
    if end := content.find(b"\n") + 1:
        yield content[:end]


def _offset_of(descriptor: int, size: int, step: int) -> int:
    """Where the first line with this step, or a later one, begins."""
    low, high = 0, size  # every line that begins before `low` is earlier
    while high - low > LINE_BYTES:
        middle = (low + high) // 2
        content = os.pread(descriptor, LINE_BYTES, middle)
        start = content.find(b"\n") + 1
        found = _STEP.match(content, start) if start else None
        if found is None:
            high = middle
        elif int(found[1]) < step:
            low = middle + start
        else:
            high = middle
    content = os.pread(descriptor, 2 * LINE_BYTES, low)
    position = low
    for line in content.splitlines(keepends=True):
        found = _STEP.match(line)
        if found and int(found[1]) >= step:
            break
        position += len(line)
    return min(position, size)
