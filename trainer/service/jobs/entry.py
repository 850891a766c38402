"""One run in the queue, as the server remembers it while it waits or runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runs.checkpoints import CheckpointId
from ...runs.folder import Folder
from ...runs.process_identity import is_of_this_boot
from ...runs.queue_state import RUNNING, Lives, queue_state
from ...runs.study import JOURNAL
from ...runs.submission import Attempt, Submission, read_attempt


@dataclass
class Entry:
    """A submission that has not ended, and the process that works at it."""

    path: Path
    submission: Submission
    attempt: Attempt | None = None
    """The newest one, whether it lives or not."""
    is_started: bool = False
    """Whether a process works at it, of this server or of one before."""
    why: str = ""
    """Why it waits, where its files don't tell."""
    waits: str = ""
    """Why it waits elsewhere though it is started, as its engine has said last."""
    deadline: float | None = None
    """When to take the next rung of stopping it, by the monotonic clock."""
    retry: float = 0.0
    """When to try again to start it, by the monotonic clock."""

    @property
    def id(self) -> str:
        return self.submission.id

    @classmethod
    def of(cls, path: Path, submission: Submission) -> Entry:
        """As its folder has it."""
        return cls(path, submission, read_attempt(path))

    def state(self, lives: Lives) -> tuple[str, str]:
        """Its state now, and why."""
        state, why = queue_state(self.path, self.submission, lives)
        return state, self.why or why if state not in RUNNING else why

    def progress(self) -> int:
        """What grows while its process does something, in lines: rows, or a search's journal.

        Bytes would tell nothing: the same rows once more have other times, and so other lengths.
        """
        file = self.path / (JOURNAL if self.submission.is_search else "metrics.jsonl")
        lines = 0
        with suppress(FileNotFoundError), file.open("rb") as opened:
            while part := opened.read(2**20):
                lines += part.count(b"\n")
        return lines

    def most_lines(self) -> int:
        """The most lines that there have been since it was put into the queue.

        One that goes on from an older checkpoint writes rows anew that there were before.
        """
        attempt = self.attempt
        is_current = attempt and attempt.number > self.submission.attempts_before
        return max(self.progress(), attempt.lines_before if attempt and is_current else 0)

    def newest_checkpoint(self) -> str:
        """The name of the newest checkpoint; "" where there is none."""
        names = (path.name for path in Folder(self.path).checkpoints.glob("step-*"))
        found = filter(None, map(CheckpointId.parse, names))
        newest = max(found, key=lambda one: one.age_key, default=None)
        return newest.name if newest else ""

    def fruitless(self) -> int:
        """How many processes have died one after another without a new row or checkpoint."""
        attempt = self.attempt
        if attempt is None or attempt.number <= self.submission.attempts_before:
            return 0
        if attempt.engine == "local" and not is_of_this_boot(attempt.handle):
            return attempt.fruitless  # the machine's end is no fault of the process
        if self.progress() > attempt.lines_before:
            return 0
        checkpoint = CheckpointId.parse(self.newest_checkpoint())
        before = CheckpointId.parse(attempt.checkpoint_before)
        if checkpoint and (before is None or checkpoint.age_key > before.age_key):
            return 0
        return attempt.fruitless + 1

    def member(self, state: str, why: str) -> dict[str, Any]:
        """As JSON has it, in a state."""
        submission = self.submission
        return {
            "id": submission.id,
            "name": submission.name or self.path.name,
            "state": state,
            "why": why,
            "priority": submission.priority,
            "attempt": self.attempt.number if self.attempt else 0,
            "submitted": submission.submitted,
            "overrides": submission.overrides,
            "sweep": submission.sweep,
            "tags": submission.tags,
            "engine": submission.engine,
        }


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Those that run first, then the others as they will start."""
    return sorted(
        entries,
        key=lambda entry: (
            not entry.is_started,
            -entry.submission.priority,
            entry.submission.order,
            entry.path,
        ),
    )
