"""Writing checkpoints while training goes on: snapshots wait in memory for a thread to write them.

A small fast model would write many checkpoints that are removed again at once. Therefore a waiting
snapshot is dropped once newer ones make it removable, and the thread rests after each write. After
`finish` the folder holds what `Checkpoints.save`, called for each snapshot in turn, would leave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from threading import Condition, Thread
from time import perf_counter
from typing import Any, NamedTuple

from numpy.typing import NDArray

from .checkpoints import CheckpointId, Checkpoints

MAX_QUEUED_BYTES = 64 * 2**20
"""The bytes of snapshots in memory; where there would be more, training waits for the disk."""
REST_FACTOR = 100
"""The thread rests this many times as long as it wrote: saving takes a hundredth of a core."""
MAX_REST_SECONDS = 1.0
"""The longest rest, and so about what a kill costs besides `checkpoint.every`."""


class Snapshot(NamedTuple):
    """The content of a checkpoint, in memory."""

    checkpoint: CheckpointId
    arrays: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]
    before_write: Callable[[], None]
    """What the thread calls before it writes the snapshot."""

    @property
    def size(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())


class DiskChange(NamedTuple):
    """From which step on the disk refuses checkpoints, or takes them again."""

    step: int
    error: OSError | None
    """Why the disk refuses; None where it takes checkpoints again."""


class WriteOutcome(NamedTuple):
    """How the thread's attempt to write a checkpoint ended."""

    checkpoint: CheckpointId
    error: BaseException | None


class CheckpointWriter:
    """Writes checkpoints in the background, each whole, and none that would not stay.

    When the disk begins to refuse, `disk_changes` returns that once, and again when the disk takes
    a checkpoint. Training goes on meanwhile; the next save is the next attempt.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.disk_error: OSError | None = None
        """The disk's error at the newest checkpoint that was tried; None where it was written."""
        self._disk_changes: list[DiskChange] = []
        self._newest_tried = CheckpointId(0)
        self._outcomes: deque[WriteOutcome] = deque()
        """Filled by the thread, and emptied by whoever saves."""
        self._changed = Condition()
        """Guards the attributes below, and tells of changes to them."""
        self._waiting: dict[CheckpointId, Snapshot] = {}
        self._writing: list[Snapshot] = []
        self._protected_steps: Collection[int] = ()
        self._kept: set[CheckpointId] = set()
        """Checkpoints in the folder, waiting or being written that are not removable yet."""
        self._removable: set[CheckpointId] = set()
        """Checkpoints to remove, once the newer ones that replace them are on the disk."""
        self._flushing = False
        self._closed = False
        self._thread: Thread | None = None

    def enqueue(
        self,
        checkpoint: CheckpointId,
        arrays: Mapping[str, NDArray[Any]],
        about: Mapping[str, Any],
        protected_steps: Collection[int],
        before_write: Callable[[], None],
    ) -> None:
        """Queues a snapshot, to be written soon and after a call of `before_write`.

        The arrays must not change any more. From now on, checkpoints of the `protected_steps`
        stay, and those protected earlier no longer do.
        """
        snapshot = Snapshot(checkpoint, arrays, about, before_write)
        if self._queued_bytes() + snapshot.size > MAX_QUEUED_BYTES:
            self._flush()
        self._process_outcomes()
        with self._changed:
            if not self._waiting and not self._writing:
                self._read_folder()
            self._protected_steps = protected_steps
            self._waiting.setdefault(checkpoint, snapshot)
            candidates = {*self._kept, checkpoint}
            self._kept, removable = self.checkpoints.retention(candidates, protected_steps)
            for old in removable - {checkpoint}:
                self._waiting.pop(old, None)
            self._removable = (self._removable - {checkpoint}) | removable
            if len(self._waiting) == 1:  # with more, the thread is writing or at rest
                self._changed.notify_all()
        if self._thread is None:
            self._thread = Thread(target=self._work, name="checkpoint", daemon=True)
            self._thread.start()

    def disk_changes(self) -> list[DiskChange]:
        """When the disk began to refuse or to take checkpoints, since the last call of this."""
        changes, self._disk_changes = self._disk_changes, []
        return changes

    def finish(self) -> None:
        """Waits until every checkpoint that is to stay is on the disk."""
        self._flush()
        self._process_outcomes()

    def close(self) -> None:
        """Finishes and ends the thread."""
        try:
            self.finish()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            if self._thread:
                self._thread.join()

    def _read_folder(self) -> None:
        """Reads anew which checkpoints the folder holds; called while no snapshot is queued."""
        with suppress(OSError):
            self._kept, self._removable = set(self.checkpoints.ids()), set()

    def _queued_bytes(self) -> int:
        with self._changed:
            return sum(snapshot.size for snapshot in (*self._waiting.values(), *self._writing))

    def _flush(self) -> None:
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: not self._waiting and not self._writing)
            finally:
                self._flushing = False

    def _process_outcomes(self) -> None:
        """Raises the errors of the thread; notes those of the disk at the newest checkpoint."""
        while self._outcomes:
            checkpoint, error = self._outcomes.popleft()
            if error is not None and not isinstance(error, OSError):
                raise error
            if checkpoint.age_key < self._newest_tried.age_key:
                continue
            self._newest_tried = checkpoint
            refused_before, self.disk_error = self.disk_error is not None, error
            if refused_before != (error is not None):
                self._disk_changes.append(DiskChange(checkpoint.step, error))

    def _work(self) -> None:
        """Writes and rests in turn, until the writer is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                began, removable = perf_counter(), set(self._removable)
                self._writing = self._take_batch()
            for snapshot in self._writing:
                self._write(snapshot, removable if snapshot is self._writing[-1] else set())
            with self._changed:
                self._writing = []
                self._changed.notify_all()
                rest = min(REST_FACTOR * (perf_counter() - began), MAX_REST_SECONDS)
                self._changed.wait_for(lambda: self._flushing or self._closed, rest)

    def _take_batch(self) -> list[Snapshot]:
        """Takes the snapshots that are written next, oldest first; all of them during a flush.

        Otherwise these are the newest, since a run that goes on from it repeats least, and the
        older ones that are protected or permanent, which such a run would not make again.
        """
        batch = sorted(self._waiting.values(), key=lambda snapshot: snapshot.checkpoint.age_key)
        if not self._flushing:
            newest = batch.pop()
            batch = [*filter(self._must_stay, batch), newest]
        for snapshot in batch:
            del self._waiting[snapshot.checkpoint]
        return batch

    def _must_stay(self, snapshot: Snapshot) -> bool:
        step = snapshot.checkpoint.step
        return step in self._protected_steps or self.checkpoints.is_permanent(step)

    def _write(self, snapshot: Snapshot, removable: set[CheckpointId]) -> None:
        """Writes a snapshot, then removes the checkpoints that were removable before the batch.

        What became removable since may have been replaced by a snapshot that is still waiting.
        """
        error: BaseException | None = None
        try:
            snapshot.before_write()
            self.checkpoints.write(snapshot.checkpoint, snapshot.arrays, snapshot.about)
            if removable:
                remaining = self.checkpoints.remove(removable)
                with self._changed:
                    self._removable -= removable.difference(remaining, self._waiting)
        except BaseException as raised:  # raised again in the thread that saves
            error = raised
            with self._changed:
                self._kept.discard(snapshot.checkpoint)
        self._outcomes.append(WriteOutcome(snapshot.checkpoint, error))
