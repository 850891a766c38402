"""Whether layers of our own networks may compute in a shorter way than Keras has for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ALLOWED: ContextVar[bool] = ContextVar("allowed", default=False)


@contextmanager
def shortcuts(*, allowed: bool) -> Iterator[None]:
    """Within the block layers may take shorter ways in training, if that is `allowed`.

    They are made for plain graphs on a CPU, where each operation and each copy costs. Shapes in
    them may hang on the numbers of a batch, which XLA and `vectorized_map` can't have.
    """
    token = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def shortcuts_allowed() -> bool:
    """Whether what is traced now is in such a block."""
    return _ALLOWED.get()
