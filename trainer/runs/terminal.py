"""Standard output and error that never stop a run, and tell no secret.

What can't be written there is left out: a pipe whose reader has gone (`| head -1`), a full disk, a
closed descriptor (`>&-`) or an encoding without some letter would end training in the middle of a
print.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import format_exception
from types import TracebackType
from typing import Any, TextIO

from .known_secrets import veil


class LenientStream:
    """A text stream whose writes never fail, without secrets; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(veil(text))
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self.write(veil(text).encode(encoding, "replace").decode(encoding))
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._discard()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._discard()

    def _discard(self) -> None:
        """Sends what is still buffered, and all that follows, to the null device.

        Python flushes the stream once more at its end, and would exit with 120.
        """
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lenient_streams() -> Iterator[None]:
    """Within the block standard output and error are lenient, and the null device where closed.

    A closed descriptor would be given to the next file that is opened, into which TensorFlow would
    then write its messages. From here on, what nothing has caught is printed without secrets.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # the null device gets the lowest free number, which is this one
            os.open(os.devnull, os.O_RDWR)
    sys.excepthook = _print_veiled
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        LenientStream(stream or os.fdopen(descriptor, "w", closefd=False))
        for descriptor, stream in enumerate(before, start=1)
    )
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _print_veiled(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    print(veil("".join(format_exception(kind, error, trace))), end="", file=sys.stderr)
