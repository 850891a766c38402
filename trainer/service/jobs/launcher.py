"""The thread that starts the jobs of a queue, and sees when they end or are to be stopped."""

from __future__ import annotations

import logging
import os
import selectors
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from ...runs.folder import Folder
from ...runs.queue_state import WAITING
from ...runs.submission import Attempt, Submission, stamp, write_attempt
from ..permissions import Permissions
from .allotment import Allotment, ShortageError, allot
from .engines.engine import Engine, Handle, Needs
from .entry import Entry, in_order
from .job_ends import drop_if_ended, give_up, settle, take_rung
from .queue import Queue

TAKE_OVER_SECONDS = 5.0
"""How often a server that may not start jobs looks whether it may by now."""
RETRY_SECONDS = 5.0
"""After how long a job that could not be started is tried again."""
STRANGER_SECONDS = 1.0
"""How often it is looked whether another program still trains a run that waits."""

log = logging.getLogger(__name__)


class Launcher(threading.Thread):
    """Sleeps until a process ends, something is changed, or a clock says so."""

    def __init__(self, queue: Queue, permissions: Permissions) -> None:
        super().__init__(name="launcher", daemon=True)
        self._queue = queue
        self._permissions = permissions
        self._selector = selectors.DefaultSelector()
        self._waker, self._alarm = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._alarm, False)
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._watched: dict[str, int] = {}
        """The descriptors of processes, by the ids of runs."""
        self._ended = False
        self.ready = threading.Event()
        """Set once it is known whether this server starts jobs, and which there are."""
        queue.wake = self.wake

    def wake(self) -> None:
        """Has it look again; called from any thread."""
        with suppress(OSError):
            os.write(self._alarm, b".")

    def stop(self) -> None:
        """Ends the thread; the jobs go on."""
        self._ended = True
        self.wake()

    def run(self) -> None:
        while not self._ended:
            try:
                seconds = self._turn()
            except Exception:  # one run that can't be handled is no reason to start no other
                log.exception("the queue of %s", self._queue.root)
                seconds = RETRY_SECONDS
            self.ready.set()
            if not self._ended:
                self._selector.select(seconds)
            with suppress(OSError):
                os.read(self._waker, 4096)
        self._selector.close()
        self._queue.right.release()
        self._queue.wake = lambda: None
        os.close(self._waker)
        os.close(self._alarm)

    def command(self, submission: Submission) -> list[str]:
        """What a job's process is, with what this server allows and no other does."""
        folder = self._permissions.config_dir
        options = ["--config-dir", folder] if folder is not None else []
        granted = self._permissions.granted()
        return [sys.executable, "-m", "trainer", *options, *granted, *submission.arguments]

    def _turn(self) -> float | None:
        """Does what is to be done now; after how many seconds to look again, None for never."""
        queue = self._queue
        if not queue.take_right(may_make=False):
            return TAKE_OVER_SECONDS
        waits = []
        with queue.lock:
            for entry in list(queue.entries.values()):
                if entry.is_started:
                    waits.append(self._look_at(entry))
            waits.append(self._start_next())
        return min((seconds for seconds in waits if seconds is not None), default=None)

    def _look_at(self, entry: Entry) -> float | None:
        """Looks whether a job has ended, and takes the next rung of stopping it."""
        assert entry.attempt
        engine = self._queue.engines[entry.attempt.engine]
        if engine.look(entry.attempt.handle) == "gone":
            if (descriptor := self._watched.pop(entry.id, None)) is not None:
                self._selector.unregister(descriptor)
            settle(self._queue, entry, engine, entry.attempt)
            return 0.0
        if (reason := engine.waits(entry.attempt.handle)) != entry.waits:
            entry.waits = reason
            self._queue.notify([(entry.id, entry.path)])
        is_watched = self._watch(entry, engine, entry.attempt.handle)
        waits = [] if is_watched else [engine.poll_seconds]
        if entry.deadline is not None:
            if time.monotonic() >= entry.deadline:
                take_rung(self._queue, entry, engine, entry.attempt.handle)
            waits.append(max(0.0, entry.deadline - time.monotonic()))
        return min((seconds for seconds in waits if seconds is not None), default=None)

    def _watch(self, entry: Entry, engine: Engine, handle: Handle) -> bool:
        """Whether the end of a job's process will wake this thread."""
        if entry.id in self._watched:
            return True
        descriptor = engine.watch(handle)
        if descriptor is None:
            return False
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._watched[entry.id] = descriptor
        return True

    def _start_next(self) -> float | None:
        """Starts whatever has room now; after how many seconds to try again."""
        queue, waits = self._queue, list[float]()
        if queue.settings.paused:
            return None
        at_once = queue.machine.at_once(queue.settings)
        for entry in in_order(queue.entries.values()):
            if entry.is_started:
                continue
            state, _ = entry.state(queue.lives)
            if state == "running":  # by another program
                waits.append(STRANGER_SECONDS)
            elif state not in WAITING:
                drop_if_ended(queue, entry)
            if state not in ("queued", "lost"):
                continue
            engine = queue.engines.get(entry.submission.engine)
            if engine is None:
                entry.why = f"this server has no engine {entry.submission.engine}"
                continue
            if (late := entry.retry - time.monotonic()) > 0:
                waits.append(late)
                continue
            if entry.fruitless() >= entry.submission.attempt_limit:
                give_up(entry, None)
                drop_if_ended(queue, entry)
                continue
            here = [one for one in queue.entries.values() if _is_here(one, queue)]
            if engine.is_here and len(here) >= at_once:
                entry.why = f"{at_once} run at a time"
                break
            try:
                share = self._share(entry, engine, here, at_once)
            except ShortageError as shortage:
                entry.why = str(shortage)
                if shortage.for_ever:
                    continue
                break  # who waits for room is not overtaken
            self._start(entry, engine, share)
            if not entry.is_started:
                waits.append(RETRY_SECONDS)
        return min(waits, default=None)

    def _share(self, entry: Entry, engine: Engine, here: list[Entry], at_once: int) -> Allotment:
        """What a job runs on: as many cores as before, on which its last bits depend."""
        machine, settings = self._queue.machine, self._queue.settings
        submission, before = entry.submission, entry.attempt
        asked = submission.cores or (len(before.cores) if before and before.cores else None)
        if not engine.is_here:
            return Allotment(tuple(range(asked or 1)), tuple(map(str, range(submission.gpus or 0))))
        taken = [Allotment(tuple(one.attempt.cores), tuple(one.attempt.gpus))
                 for one in here if one.attempt]  # fmt: skip
        cores, gpus = machine.used_cores(settings), machine.used_gpus(settings)
        if submission.cores is None and asked:
            asked = min(asked, len(cores))
            free = len(set(cores) - {core for one in taken for core in one.cores})
            if free < asked and taken and len(cores) < at_once:
                asked = None  # cores are shared anyhow
        return allot(cores, gpus, taken, at_once, (asked, submission.gpus))

    def _start(self, entry: Entry, engine: Engine, share: Allotment) -> None:
        submission, path = entry.submission, entry.path
        number = entry.attempt.number + 1 if entry.attempt else 1
        needs = Needs(submission.id, Path(submission.cwd), *share)
        before = Attempt(
            number=number,
            engine=submission.engine,
            handle={},
            cores=list(share.cores),
            gpus=list(share.gpus),
            result_before=stamp(Folder(path).result),
            lines_before=entry.most_lines(),
            checkpoint_before=entry.newest_checkpoint(),
            fruitless=entry.fruitless(),
        )

        def record(handle: Handle) -> None:
            attempt = before.model_copy(update={"handle": handle})
            write_attempt(path, attempt)
            entry.attempt = attempt

        try:
            engine.start(self.command(submission), path, needs, record)
        except OSError as error:
            if not path.is_dir():  # somebody has removed it
                self._queue.drop(entry.id)
            entry.why = f"can't be started: {error.filename or ''} {error.strerror or error}"
            entry.retry = time.monotonic() + RETRY_SECONDS
        else:
            entry.is_started, entry.why = True, ""
            self._look_at(entry)
        self._queue.notify([(entry.id, path)])


def _is_here(entry: Entry, queue: Queue) -> bool:
    """Whether an entry has a place of this machine."""
    if not entry.is_started or entry.attempt is None:
        return False
    engine = queue.engines.get(entry.attempt.engine)
    return engine is not None and engine.is_here
