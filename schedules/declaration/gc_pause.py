"""Python's garbage collector, kept from looking through what stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared(*, lasting: bool = False) -> Iterator[None]:
    """Within the block nobody looks for garbage, since imports leave hardly any.

    They make objects by the hundred thousand, and the more there are, the longer each look takes:
    a quarter of `import tensorflow`, and of what a command takes to refuse a config. If `lasting`,
    nobody ever looks through what is there at the end of the block, which is for programs of our
    own; a library has no say in that.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if lasting:
            gc.freeze()
        if was:
            gc.enable()
