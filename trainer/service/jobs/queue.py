"""What is changed of a queue: jobs come, are moved, stopped, begun again and dropped."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...runs.folder import Folder
from ...runs.queue_state import submitted
from ...runs.run_folders import submitted_folders
from ...runs.submission import How, Submission, read_attempt, write_submission
from ..problems import ServiceError
from .engines.engine import Engine
from .entry import Entry, in_order
from .queue_contents import QueueContents
from .settings import Settings, read_settings, remove_drafts, write_settings
from .sweep_report import write_sweep_report

STEP = 0.001
"""How far apart the orders of jobs that come together are."""


class Queue(QueueContents):
    """The queue of one root. Each call is one change, in the folders before it is told."""

    def __init__(
        self,
        root: Path,
        engines: Mapping[str, Engine],
        changed: Callable[[Sequence[tuple[str, Path]]], None],
        unended: Callable[[Sequence[str]], Iterable[Path]],
    ) -> None:
        """`changed` is called with the ids and folders of runs that are other than before."""
        super().__init__(root, engines, unended)
        self.wake: Callable[[], None] = lambda: None
        """Has what starts jobs look again."""
        self._tell = changed
        self._last_order = 0.0

    def take_right(self, *, may_make: bool) -> bool:
        """Whether this server starts jobs; if from now on, those of an earlier server are its own.

        What a server that died has begun to make is removed.
        """
        with self.lock:
            if self.right.is_held or not self.right.take(may_make=may_make):
                return self.right.is_held
            remove_drafts(self.root)
            self.settings = read_settings(self.root)
            found = self.read(submitted_folders(self.root))
            self.entries = {entry.id: entry for entry in found}
        self.notify([])
        return True

    def check_startable(self, run: str, path: Path, is_changed: bool) -> None:
        """Whether a run can go on.

        Raises:
            ServiceError: a 409 for one that waits or runs, or is done and was not made longer.
            Refused: when its result can't be read.
        """
        self._check_idle(run, path)
        result = Folder(path).read_result() or {}
        if not is_changed and result.get("status") == "done":
            raise ServiceError(409, "it is done; run.length=… makes it longer")

    def check_launching(self) -> None:
        """Whether this server may change the queue.

        Raises:
            ServiceError: a 409 that says why not.
        """
        if not self.take_right(may_make=True):
            raise ServiceError(409, f"this server starts no jobs: {self.right.why}")

    def next_orders(self, count: int) -> list[float]:
        """The orders of jobs that come behind all others."""
        with self.lock:
            first = max(time.time(), self._last_order + STEP)
            self._last_order = first + STEP * count
            return [first + STEP * number for number in range(count)]

    def add(self, found: Sequence[tuple[Path, Submission]]) -> None:
        """Takes in what is in its folders by now."""
        with self.lock:
            for path, submission in found:
                self.entries[submission.id] = Entry.of(path, submission)
        self.notify([(submission.id, path) for path, submission in found])

    def configure(self, **changes: Any) -> None:
        """Changes the settings.

        Raises:
            OSError: when the disk refuses.
        """
        with self.lock:
            settings = Settings.model_validate({**self.settings.model_dump(), **changes})
            write_settings(self.root, settings)
            self.settings = settings
        self.notify([])

    def change(self, run: str, path: Path, **changes: Any) -> Submission:
        """Writes a submission anew.

        Raises:
            ServiceError: a 409 for a run that was not submitted here.
            OSError: when the disk refuses.
        """
        with self.lock:
            entry = self.entries.get(run)
            before = entry.submission if entry else submitted(self.root, path, run)
            if before is None:
                raise ServiceError(409, "this run was not submitted to this queue")
            submission = before.model_copy(update=changes)
            write_submission(path, submission)
            if entry:
                entry.submission, entry.why = submission, ""
        self.notify([(run, path)])
        return submission

    def place(self, run: str, path: Path, before: str | None) -> None:
        """Moves a run before another one, with its priority, or behind all of its own.

        Raises:
            ServiceError: a 409 where one of them does not wait.
        """
        with self.lock:
            entry = self._waiting(run)
            if before is None:
                [order] = self.next_orders(1)
                self.change(run, path, order=order)
                return
            target = self._waiting(before)
            if target is entry:
                return
            priority = target.submission.priority
            peers = [one for one in in_order(self.entries.values())
                     if one is not entry and one.submission.priority == priority
                     and not one.is_started]  # fmt: skip
            at = peers.index(target)
            high = target.submission.order
            low = peers[at - 1].submission.order if at else high - 1
            if not low < (low + high) / 2 < high:  # the numbers between them are used up
                for one, order in zip(peers, self.next_orders(len(peers)), strict=True):
                    self.change(one.id, one.path, order=order)
                self.place(run, path, before)
                return
            self.change(run, path, order=(low + high) / 2, priority=priority)

    def stop(self, run: str, path: Path, how: How) -> tuple[str, str]:
        """Stops a run, or takes it out of the queue; its state then, and why.

        Raises:
            ServiceError: a 409 for a run that has ended, or that another program trains.
        """
        with self.lock:
            entry = self.entries.get(run)
            if entry is None:
                owner = Folder(path).owner()
                why = f"{owner} trains it, which no queue has started" if owner else "it has ended"
                raise ServiceError(409, why)
            if not self.is_worked_at(entry):
                self.change(run, path, cancelled=True)
                self.drop(run)
            else:
                self.change(run, path, stop=how)
                entry.deadline = 0.0
            state = entry.state(self.lives)
        self.notify([(run, path)])
        return state

    def restart(self, run: str, path: Path, more: Mapping[str, Any]) -> Submission:
        """Puts a run that has ended into the queue again, behind all others.

        Raises:
            ServiceError: a 409 for one that waits or runs.
        """
        with self.lock:
            self._check_idle(run, path)
            attempt = read_attempt(path)
            [order] = self.next_orders(1)
            before = submitted(self.root, path, run) or Submission(
                id=run, root=str(self.root), key="", body="", overrides=[], arguments=[],
                cwd=str(Path.cwd()), submitted=time.time(), by=getpass.getuser(), order=order,
            )  # fmt: skip
            changes = {"cancelled": False, "held": False, "stop": None, "order": order,
                       "attempts_before": attempt.number if attempt else 0}  # fmt: skip
            submission = before.model_copy(update={**changes, **more})
            write_submission(path, submission)
            self.add([(path, submission)])
            return submission

    def drop(self, run: str) -> None:
        """Forgets a run that has ended; with the last of a sweep this gets its report."""
        with self.lock:
            entry = self.entries.pop(run, None)
            sweep = entry.submission.sweep if entry else None
            if entry and sweep and not self.of_sweep(sweep):
                write_sweep_report(entry.path.parent)

    def notify(self, runs: Sequence[tuple[str, Path]]) -> None:
        """Has listeners know of changes, and jobs start that may."""
        self._tell(runs)
        self.wake()

    def _check_idle(self, run: str, path: Path) -> None:
        if run in self.entries or Folder(path).owner():
            raise ServiceError(409, "it waits or runs already")

    def _waiting(self, run: str) -> Entry:
        entry = self.entries.get(run)
        if entry is None or entry.is_started:
            raise ServiceError(409, f"the run {run} does not wait")
        return entry
