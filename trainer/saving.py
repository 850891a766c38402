"""Saving while training goes on: one checkpoint at a time, written by a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from .checkpoint import At, Checkpoints


class Saving:
    """Writes checkpoints in the background from a snapshot in memory.

    A disk that refuses is told of once, to `tell(step, error)`, and again when it takes one
    (`error` is then None). Training goes on meanwhile; the next save is the next try.
    """

    def __init__(
        self, checkpoints: Checkpoints, tell: Callable[[int, OSError | None], None]
    ) -> None:
        self.checkpoints = checkpoints
        self.trouble: OSError | None = None
        """What the disk said to the last save, where it refused."""
        self._tell = tell
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._under_way: tuple[int, Future[Any]] | None = None

    def begin(
        self,
        at: At,
        arrays: Mapping[str, NDArray[Any]],
        about: Mapping[str, Any],
        spared: Collection[int],
        before: Callable[[], None],
    ) -> None:
        """Begins to save what is given, once an earlier save is through; `before` comes first."""
        self.finish()

        def save() -> None:
            before()
            self.checkpoints.save(at, arrays, about, spared)

        self._under_way = at.step, self._thread.submit(save)

    def finish(self) -> None:
        """Waits for the save that is under way."""
        if self._under_way is None:
            return
        step, future = self._under_way
        self._under_way = None
        before, self.trouble = self.trouble, None
        try:
            future.result()
        except OSError as error:
            self.trouble = error
        if (before is None) != (self.trouble is None):
            self._tell(step, self.trouble)

    def close(self) -> None:
        self.finish()
        self._thread.shutdown()
