"""The state of a run that was submitted to a queue, derived from its folder at each look."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from schedules import Refused

from .folder import Folder
from .process_identity import ProcessIdentity
from .submission import Attempt, Submission, read_attempt, read_submission, stamp

WAITING = ("queued", "held", "lost")
"""The states of runs that wait for a place."""
RUNNING = ("starting", "running", "stopping")
"""The states of runs that have a place."""
TRIES_AGAIN = ("interrupted",)
"""The results of processes that somebody else has ended, such as a machine that goes down."""

Lives = Callable[[Attempt], bool]


class QueueState(NamedTuple):
    """Where a submitted run is."""

    state: str
    """One of `WAITING`, `RUNNING`, `cancelled`, or how the run has ended."""
    why: str = ""


def local_lives(attempt: Attempt) -> bool:
    """Whether the process of an attempt lives; of one elsewhere its lock and result tell."""
    if attempt.engine != "local":
        return True
    with suppress(ValueError):
        return ProcessIdentity.model_validate(attempt.handle).lives()
    return False


def submitted(root: Path, path: Path, run: str) -> Submission | None:
    """The submission of the run with an id; None for a copy, or one of another root."""
    submission = read_submission(path)
    if submission and (submission.id, submission.root) == (run, str(root)):
        return submission
    return None


def current_attempt(path: Path, submission: Submission) -> Attempt | None:
    """The newest attempt since the run was put into the queue; None before its turn."""
    attempt = read_attempt(path)
    return attempt if attempt and attempt.number > submission.attempts_before else None


def queue_state(path: Path, submission: Submission, lives: Lives = local_lives) -> QueueState:
    """The state of a submission: lock, process and result decide, in this order."""
    folder = Folder(path)
    attempt = current_attempt(path, submission)
    is_alive = attempt is not None and lives(attempt)  # before the result, which it may write yet
    owner = folder.owner()
    if attempt is None:
        return _before_its_turn(submission, owner)
    result = _new_result(folder, attempt)
    if owner and not (result and folder.has_new_result()):
        return QueueState("stopping", _rung(submission)) if submission.stop else QueueState(
            "running", "" if is_alive else owner
        )  # fmt: skip
    if result and not (result in TRIES_AGAIN and not submission.stop):
        return QueueState(result, "")
    if is_alive:
        if submission.stop:
            return QueueState("stopping", _rung(submission))
        return QueueState("running" if submission.is_search and owner else "starting")
    if attempt.exit_code is not None:
        ended = "done" if attempt.exit_code == 0 else "failed"
        return QueueState(_status(folder) or ended if attempt.exit_code == 0 else ended)
    if submission.cancelled:
        return QueueState("cancelled", "")
    if submission.stop:
        return QueueState("unfinished", "killed as ordered")
    if submission.held:
        return QueueState("held", "its process is gone, and it is held")
    return QueueState("lost", "its process is gone; it goes on from its newest checkpoint")


def _before_its_turn(submission: Submission, owner: str) -> QueueState:
    if submission.cancelled:
        return QueueState("cancelled", "")
    if owner:
        return QueueState("running", f"{owner} trains it, which this queue has not started")
    if submission.held:
        return QueueState("held", "until it is released")
    return QueueState("queued", "")


def _new_result(folder: Folder, attempt: Attempt) -> str:
    """The status in the result that an attempt has written; "" where it has written none."""
    return "" if stamp(folder.result) == attempt.result_before else _status(folder)


def _status(folder: Folder) -> str:
    """The status in `result.json`; "" where there is none."""
    with suppress(Refused):
        return str((folder.read_result() or {}).get("status", ""))
    return "unreadable"


def _rung(submission: Submission) -> str:
    rungs = {
        "stop": "ordered to stop before its next update",
        "terminate": "sent SIGTERM: it saves and ends",
        "kill": "sent SIGKILL, with all of its group",
    }
    return rungs.get(str(submission.stop), "")
