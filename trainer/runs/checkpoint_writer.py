"""Saving while training goes on: snapshots wait in memory, and a thread of its own writes them.

Many checkpoints of a small fast model would be removed again as soon as they are written. So a
snapshot is dropped once newer ones make it one to remove, and the thread rests after it wrote. What
is in the folder after `finish` is what `Checkpoints.save`, called with each in turn, leaves there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from threading import Condition, Thread
from time import perf_counter
from typing import Any, NamedTuple

from numpy.typing import NDArray

from .checkpoints import At, Checkpoints

HELD = 64 * 2**20
"""The bytes of snapshots in memory; where there would be more, training waits for the disk."""
RESTS = 100
"""The thread rests so many times as long as it wrote: saving takes a hundredth of a core."""
LONGEST = 1.0
"""Its longest rest in seconds, and so about what a kill costs besides `checkpoint.every`."""


class Snapshot(NamedTuple):
    """What a checkpoint will hold, in memory."""

    at: At
    arrays: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]
    before: Callable[[], None]
    """What must be done before it is written."""

    @property
    def size(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())


class DiskNews(NamedTuple):
    """From which step on the disk refuses checkpoints, or takes them again."""

    step: int
    error: OSError | None
    """What it said; None where it takes them again."""


class CheckpointWriter:
    """Writes checkpoints in the background, each whole, and none that would not stay.

    A disk that refuses is among the `news` once, and again when it takes a checkpoint. Training
    goes on meanwhile; the next save is the next try.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.trouble: OSError | None = None
        """What the disk said to the newest it was given, where it refused."""
        self._news: list[DiskNews] = []
        self._asked = At(0).order
        self._changed = Condition()
        self._waiting: dict[At, Snapshot] = {}
        self._writing: list[Snapshot] = []
        self._said: deque[tuple[At, BaseException | None]] = deque()
        self._spared: Collection[int] = ()
        self._staying: set[At] = set()
        """Those in the folder or on the way to it that are not to go, or not yet."""
        self._going: set[At] = set()
        """Those that are to go, once what supersedes them is on the disk."""
        self._hurried = self._over = False
        self._thread: Thread | None = None

    def begin(
        self,
        at: At,
        arrays: Mapping[str, NDArray[Any]],
        about: Mapping[str, Any],
        spared: Collection[int],
        before: Callable[[], None],
    ) -> None:
        """Takes what is given, to be written soon; `before` comes first.

        Nobody changes it any more. Those of the `spared` steps stay, from now on.
        """
        snapshot = Snapshot(at, arrays, about, before)
        if self._size() + snapshot.size > HELD:
            self._write_all()
        self._hear()
        with self._changed:
            if not self._waiting and not self._writing:
                self._look()
            self._spared = spared
            self._waiting.setdefault(at, snapshot)
            self._staying, going = self.checkpoints.sift({*self._staying, at}, spared)
            for old in going - {at}:
                self._waiting.pop(old, None)
            self._going = (self._going - {at}) | going
            if len(self._waiting) == 1:  # with more, the thread is writing or at rest
                self._changed.notify_all()
        if self._thread is None:
            self._thread = Thread(target=self._work, name="checkpoint", daemon=True)
            self._thread.start()

    def news(self) -> list[DiskNews]:
        """How what the disk says has changed since this was last asked."""
        news, self._news = self._news, []
        return news

    def finish(self) -> None:
        """Waits until all that should be is on the disk."""
        self._write_all()
        self._hear()

    def close(self) -> None:
        """Finishes for good."""
        try:
            self.finish()
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            if self._thread:
                self._thread.join()

    def _look(self) -> None:
        """Sees what is in the folder, which others may have changed; with nothing on its way."""
        with suppress(OSError):
            self._staying, self._going = set(self.checkpoints.held()), set()

    def _size(self) -> int:
        with self._changed:
            return sum(each.size for each in (*self._waiting.values(), *self._writing))

    def _write_all(self) -> None:
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: not self._waiting and not self._writing)
            finally:
                self._hurried = False

    def _hear(self) -> None:
        """Tells of what the disk said, by the newest it was given."""
        while self._said:
            at, error = self._said.popleft()
            if error is not None and not isinstance(error, OSError):
                raise error
            if at.order < self._asked:
                continue
            self._asked = at.order
            before, self.trouble = self.trouble, error
            if (before is None) != (error is None):
                self._news.append(DiskNews(at.step, error))

    def _work(self) -> None:
        """Writes and rests, until it is over."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._over)
                if self._over:
                    return
                began, going = perf_counter(), set(self._going)
                self._writing = self._next()
            for snapshot in self._writing:
                self._write(snapshot, going if snapshot is self._writing[-1] else set())
            with self._changed:
                self._writing = []
                self._changed.notify_all()
                rest = min(RESTS * (perf_counter() - began), LONGEST)
                self._changed.wait_for(lambda: self._hurried or self._over, rest)

    def _next(self) -> list[Snapshot]:
        """Takes those that are written next, oldest first: all of them, where somebody waits.

        Otherwise the newest, since going on from it repeats least, and before it the older ones
        that are spared or for good: who goes on from the newest won't make them again.
        """
        found = sorted(self._waiting.values(), key=lambda each: each.at.order)
        if not self._hurried:
            newest = found.pop()
            found = [*filter(self._must_stay, found), newest]
        for each in found:
            del self._waiting[each.at]
        return found

    def _must_stay(self, snapshot: Snapshot) -> bool:
        step = snapshot.at.step
        return step in self._spared or self.checkpoints.forever(step)

    def _write(self, snapshot: Snapshot, going: set[At]) -> None:
        """Writes one, and then removes those that were to go when the round began.

        What was found to go since may be superseded by one that is not written yet.
        """
        error: BaseException | None = None
        try:
            snapshot.before()
            self.checkpoints.write(snapshot.at, snapshot.arrays, snapshot.about)
            if going:
                left = self.checkpoints.retire(going)
                with self._changed:
                    self._going -= going.difference(left, self._waiting)
        except BaseException as raised:  # the loop's thread hears of it
            error = raised
            with self._changed:
                self._staying.discard(snapshot.at)
        self._said.append((snapshot.at, error))
