"""TensorFlow's start: imported in silence, and what it is in versions."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from schedules.declaration.gc_pause import gc_paused

from ..runs.known_secrets import veil_file

if TYPE_CHECKING:
    pass


def versions() -> dict[str, str]:
    """What the bits of a run depend on besides its config."""
    packages = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pydantic")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
    }


def import_tensorflow(log: Path) -> None:
    """Imports what takes seconds to import; what it says of itself goes into a file."""
    with stderr_to(log), gc_paused():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


@contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Sends what is written to file descriptor 2 into a file.

    TensorFlow's C++ start-up writes there whatever `TF_CPP_MIN_LOG_LEVEL` says; the text is kept,
    for the day when a GPU is missing.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # a process without one, as a service may be
        yield
        return
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        veil_file(path)
