"""Files that others may have written: plain ones alone, of a bounded size and depth.

Reading a pipe or a device may never end, and a few bytes of JSON may nest deeper than any stack.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

MAX_DEPTH = 50
"""How many mappings and lists may stand inside one another."""

_OTHER_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_plain(path: Path | str, *, follow_links: bool = True) -> BinaryIO:
    """Opens a file for reading in bytes; a relative path leads from the working folder.

    Raises:
        OSError: also when it is a pipe, a device or a folder, or a link that is not followed.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # opening a pipe would wait for its writer
    return os.fdopen(open_descriptor(path, flags, follow_links=follow_links), "rb")


def open_descriptor(path: Path | str, flags: int, *, follow_links: bool = False) -> int:
    """As `os.open` of a plain file, made with the usual permissions where `flags` makes one.

    Raises:
        OSError: as by `open_plain`.
    """
    try:
        descriptor = os.open(path, flags | (0 if follow_links else os.O_NOFOLLOW), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(path):  # noqa: PTH114  # path may be text
            raise OSError(errno.ELOOP, "it is a link", str(path)) from None
        if error.errno == errno.ENXIO:  # how a socket is refused
            raise OSError(errno.ENXIO, "it is no file", str(path)) from None
        raise
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        what = _OTHER_KINDS.get(kind, "something else")
        raise OSError(errno.EINVAL, f"it is {what} and no file", str(path))
    return descriptor


def read_plain(path: Path | str, max_bytes: int, *, follow_links: bool = True) -> bytes:
    """All bytes of a file.

    Raises:
        OSError: as by `open_plain`, and when there are more than `max_bytes`.
    """
    with open_plain(path, follow_links=follow_links) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise OSError(errno.EFBIG, f"it has more than {_bytes_text(max_bytes)}", str(path))
        return file.read(size)


def json_value(text: str | bytes) -> Any:
    """The value of a JSON text that nests at most `MAX_DEPTH` deep.

    >>> json_value('{"step": 3}')
    {'step': 3}
    >>> json_value("[" * 60_000)
    Traceback (most recent call last):
        ...
    ValueError: it nests deeper than 50 levels

    Raises:
        ValueError: when it is none.
    """
    too_deep = ValueError(f"it nests deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(text)
    except RecursionError:
        raise too_deep from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is no JSON, or only the beginning of it, at {place}") from None
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    letters = text.decode(errors="replace") if isinstance(text, bytes) else text
    if letters.count("[") + letters.count("{") <= MAX_DEPTH:
        return value
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for one in level if isinstance(one, (dict, list))
                 for inner in (one.values() if isinstance(one, dict) else one)]  # fmt: skip
        if not level:
            return value
    raise too_deep


def _bytes_text(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 2**20 else f"{count >> 10} KiB"
