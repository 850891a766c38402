"""A file of rows, opened to be read while its run writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schedules.declaration.plain_files import open_descriptor

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, int]]:
    """The descriptor and the size of the file.

    Raises:
        OSError: when it can't be read, or is a link.
    """
    descriptor = open_descriptor(path, _FLAGS)
    try:
        yield descriptor, os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
