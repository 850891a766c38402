"""Pauses Python's garbage collector during imports."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused(*, freeze: bool = False) -> Iterator[None]:
    """Switches the garbage collector off within the block, since imports leave hardly any garbage.

    Imports make objects by the hundred thousand, and each collection takes longer the more there
    are: a quarter of `import tensorflow`, and of the time a command takes to refuse a config.
    With `freeze`, later collections skip all objects that exist at the end of the block. That is
    for our own programs; a library should not decide it for its users.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        if was_enabled:
            gc.enable()
