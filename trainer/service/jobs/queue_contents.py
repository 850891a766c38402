"""What waits and what runs below one root, and in which state; all of it is in the folders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...runs.queue_state import RUNNING, WAITING, current_attempt, submitted
from ...runs.run_folders import QUEUE
from ...runs.submission import Attempt
from ..listing.summary import run_id
from .allotment import Allotment, allot
from .engines.engine import Engine
from .entry import Entry, in_order
from .settings import LaunchRight, Machine, Settings, read_settings

UNREADABLE = "unreadable"
"""The status of a run that has a damaged file, whatever it is in the queue."""


class QueueContents:
    """What a queue holds, looked at; `Queue` changes it."""

    def __init__(
        self,
        root: Path,
        engines: Mapping[str, Engine],
        unended: Callable[[Sequence[str]], Iterable[Path]],
    ) -> None:
        """`unended` gives the folders of runs that had one of some states when last looked at.

        A server that starts no jobs would else walk through all folders at each look.
        """
        self.root = root
        self.engines = engines
        self.right = LaunchRight(root)
        self.machine = Machine()
        self.lock = threading.RLock()
        self.entries: dict[str, Entry] = {}
        """What has not ended, by id."""
        self.settings = Settings()
        self._unended = unended

    def read(self, paths: Iterable[Path]) -> list[Entry]:
        """What some folders have of submitted runs that have not ended."""
        found = []
        for path in paths:
            submission = submitted(self.root, path, run_id(self.root, path))
            if submission is None:
                continue
            entry = Entry.of(path, submission)
            state, _ = entry.state(self.lives)
            if state in WAITING or state in RUNNING:
                entry.is_started = self.is_worked_at(entry)
                entry.deadline = 0.0 if entry.is_started and submission.stop else None
                found.append(entry)
        return found

    def lives(self, attempt: Attempt) -> bool:
        """Whether the process of an attempt may still work."""
        engine = self.engines.get(attempt.engine)
        return engine is not None and engine.look(attempt.handle) != "gone"

    def members(self) -> list[dict[str, Any]]:
        """The entries in their order, as JSON has them."""
        with self.lock:
            entries = list(self.entries.values()) if self.right.is_held else None
        if entries is None:  # where nothing was ever submitted, there is nothing to look for
            states = (*WAITING, *RUNNING, UNREADABLE)
            entries = self.read(self._unended(states)) if (self.root / QUEUE).is_dir() else []
        members = []
        for entry in in_order(entries):
            state, why = self._state_of(entry)
            if state in ("queued", "lost") and self.settings.paused:
                why = "the queue is paused"
            elif state == "queued":
                why = why or "waits for its turn"
            members.append(entry.member(state, why))
        return members

    def overview(self) -> dict[str, Any]:
        """The queue as `GET /queue` gives it."""
        entries = self.members()
        settings = self.settings if self.right.is_held else read_settings(self.root)
        machine, at_once = self.machine, self.machine.at_once(settings)
        with self.lock:
            places: list[dict[str, Any]] = [
                {"cores": one.attempt.cores, "gpus": _numbers(one.attempt.gpus), "run": one.id}
                for one in in_order(self.entries.values())
                if one.is_started and one.attempt
            ]
        cores, gpus = machine.used_cores(settings), machine.used_gpus(settings)
        taken = [
            Allotment(tuple(place["cores"]), tuple(map(str, place["gpus"]))) for place in places
        ]
        while len(places) < at_once:
            taken.append(allot(cores, gpus, taken, at_once, (None, None)))
            free = {"cores": list(taken[-1].cores), "gpus": _numbers(taken[-1].gpus), "run": None}
            places.append(free)
        return {
            "launching": self.right.is_open,
            "why": self.right.why,
            "paused": settings.paused,
            "at_once": at_once,
            "cores": cores,
            "gpus": _numbers(gpus),
            "places": places,
            "entries": entries,
        }

    def state(self, run: str, path: Path) -> tuple[str, str]:
        """The state of a run that was submitted, whether it has ended or not, and why."""
        with self.lock:
            entry = self.entries.get(run)
        if entry is None:
            submission = submitted(self.root, path, run)
            if submission is None:
                return "", ""
            entry = Entry.of(path, submission)
        return self._state_of(entry)

    def of_sweep(self, sweep: str) -> list[Entry]:
        """The entries of a sweep, those that wait first, so that none of them begins meanwhile."""
        with self.lock:
            entries = [
                one for one in self.entries.values() if sweep in (one.submission.sweep, one.id)
            ]
        return in_order(entries)[::-1]

    def overrides_of(self, run: str, path: Path) -> list[str] | None:
        """The overrides of a run, as they were typed; None for one that was not submitted here."""
        submission = submitted(self.root, path, run)
        return submission.overrides if submission else None

    def _state_of(self, entry: Entry) -> tuple[str, str]:
        """The state of an entry and why, which an engine knows of a job that has not begun."""
        state, why = entry.state(self.lives)
        attempt = entry.attempt
        engine = self.engines.get(attempt.engine) if attempt else None
        if state == "starting" and not why and attempt and engine:
            why = engine.waits(attempt.handle)
        return state, why

    def is_worked_at(self, entry: Entry) -> bool:
        """Whether the process of an entry may still work, since it was put into the queue."""
        attempt = current_attempt(entry.path, entry.submission)
        return attempt is not None and self.lives(attempt)


def _numbers(gpus: Sequence[str]) -> list[int | str]:
    return [int(gpu) if gpu.isdigit() else gpu for gpu in gpus]
