"""TensorFlow's start: imported in silence, and what it is in versions."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from schedules.declaration import ABSENT, refuse
from schedules.declaration.gc_pause import gc_paused
from schedules.declaration.plain_files import open_descriptor

from ..runs.known_secrets import veil_file

LONGEST_LINE = 500
"""How many bytes of the last line that TensorFlow wrote are told."""


def versions() -> dict[str, str]:
    """What the bits of a run depend on besides its config."""
    packages = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pydantic")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
    }


@dataclass
class _Importing:
    seconds: float = 0.0


_importing = _Importing()


def import_seconds() -> float:
    """How long `import_tensorflow` took in this process; next to 0 where it was there already."""
    return _importing.seconds


def import_tensorflow(log: Path) -> None:
    """Imports what takes seconds to import; what it says of itself goes into a file.

    Where the program has frozen what it began with, what is imported is frozen, too: the first
    garbage collection would take a sixth of a second to look at it.

    Raises:
        Refused: when the file can't be written to; or when it can't be imported, with the last of
            what it wrote: a refused run leaves no files.
    """
    before = log.stat().st_size if log.is_file() else 0
    with ExitStack() as quiet:
        try:
            quiet.enter_context(stderr_to(log))
        except OSError as error:
            rule = f"can't be written to: {error.strerror or error}"
            raise refuse("hydra.run.dir", str(log), rule) from error
        first = "tensorflow" not in sys.modules  # later, garbage of other runs would be frozen
        quiet.enter_context(gc_paused(freeze=first and gc.get_freeze_count() > 0))
        began = perf_counter()
        try:
            import keras  # noqa: F401
            import tensorflow  # noqa: F401

            _importing.seconds = max(_importing.seconds, perf_counter() - began)
        except Exception as error:  # of what may be installed beside it, much does not fit
            rule = f"can't be imported: {type(error).__name__}: {error}"
            raise refuse("tensorflow", ABSENT, rule, _last_line(log, before)) from error


def _last_line(log: Path, start: int) -> str:
    """The last line that a file has after a place, as a hint; empty where there is none."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - LONGEST_LINE))
        lines = file.read(LONGEST_LINE).decode(errors="replace").split("\n")
        written = [line.strip() for line in lines if line.strip()]
        return f"the last that it wrote: {written[-1]}" if written else ""
    return ""


@contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Sends what is written to file descriptor 2 into a file.

    TensorFlow's C++ start-up writes there whatever `TF_CPP_MIN_LOG_LEVEL` says; the text is kept,
    for the day when a GPU is missing. Where the process is ended from within, as by an instruction
    that the processor lacks, the terminal is told of the file.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # a process without one, as a service may be
        yield
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    with os.fdopen(open_descriptor(path, flags), "ab") as file:
        before = os.fstat(file.fileno()).st_size
        os.dup2(file.fileno(), 2)
    try:
        with _told_where(path, kept):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        veil_file(path, before)


@contextmanager
def _told_where(path: Path, terminal: int) -> Iterator[None]:
    """Writes to `terminal` where to look if this process does not live to the end of the block.

    No handler of Python's runs at an abort; therefore another process waits for the end of a pipe.
    """
    message = f"this process ended in TensorFlow, whose words are in {path}"
    script = 'read -r _ || printf "%s\\n" "$1" >&2'
    try:
        watch = subprocess.Popen(
            ["sh", "-c", script, "sh", message],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
        )
    except OSError:  # no process can be started, which must not stop this one
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            watch.communicate(b"\n")
