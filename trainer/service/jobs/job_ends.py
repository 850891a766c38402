"""How jobs of a queue end: by themselves, again and again, or because they are stopped."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from pathlib import Path

from ...runs.folder import Folder
from ...runs.mailbox import Mailbox
from ...runs.queue_state import RUNNING, WAITING
from ...runs.submission import Attempt, How, write_attempt
from ...sweeps.places import ERRORS, last_lines
from .engines.engine import Engine, Handle
from .entry import Entry
from .queue import Queue

RUNG_SECONDS: dict[How, float] = {"stop": 30.0, "terminate": 30.0, "kill": 5.0}
"""After how long on a rung the next one is taken."""
NEXT_RUNG: dict[How, How] = {"stop": "terminate", "terminate": "kill", "kill": "kill"}


def settle(queue: Queue, entry: Entry, engine: Engine, attempt: Attempt) -> None:
    """Notes how a process has ended, and puts its run into the queue again if it was lost."""
    code = engine.exit_code(attempt.handle)
    engine.forget(attempt.handle)
    entry.is_started, entry.deadline = False, None
    state, _ = entry.state(queue.lives)
    if state in WAITING and code is not None and 0 <= code <= 128:
        _note_end(entry, attempt, code)
    elif state in WAITING and entry.fruitless() >= entry.submission.attempt_limit:
        give_up(entry, code)
    drop_if_ended(queue, entry)


def drop_if_ended(queue: Queue, entry: Entry) -> None:
    """Forgets a job that neither waits nor runs any more, and has listeners know."""
    state, _ = entry.state(queue.lives)
    if state not in WAITING and state not in RUNNING:
        queue.drop(entry.id)
    queue.notify([(entry.id, entry.path)])


def give_up(entry: Entry, code: int | None) -> None:
    """Has a run fail whose processes die again and again."""
    end = f"; the last one by {signal.Signals(-code).name}" if code and code < 0 else ""
    count = entry.submission.attempt_limit
    reason = f"its process died {count} times without a new row or checkpoint{end}"
    if entry.submission.is_search and entry.attempt:
        entry.attempt = entry.attempt.model_copy(update={"exit_code": 1})
        write_attempt(entry.path, entry.attempt)
    else:
        _write_failure(entry.path, reason)


def take_rung(queue: Queue, entry: Entry, engine: Engine, handle: Handle) -> None:
    """Orders a job to stop, or what comes after an order that it has not obeyed."""
    rung = entry.submission.stop or "stop"
    if entry.deadline:  # the time of the rung before is over
        rung = NEXT_RUNG[rung]
    if rung == "stop" and not _ordered_to_stop(entry):
        rung = "terminate"
    if rung != entry.submission.stop:
        queue.change(entry.id, entry.path, stop=rung)
    if rung == "terminate" or rung == "kill":
        engine.stop(handle, rung)
    entry.deadline = time.monotonic() + RUNG_SECONDS[rung]


def _note_end(entry: Entry, attempt: Attempt, code: int) -> None:
    """Keeps how a process ended by itself that has written no result."""
    entry.attempt = attempt.model_copy(update={"exit_code": code})
    write_attempt(entry.path, entry.attempt)
    if code and not entry.submission.is_search:
        reason = last_lines(entry.path, ERRORS, 8) or f"ended with exit code {code}"
        _write_failure(entry.path, reason)


def _ordered_to_stop(entry: Entry) -> bool:
    """Whether a run takes orders by now, and was given one."""
    mailbox = Mailbox(entry.path)
    if not mailbox.folder.exists() or not Folder(entry.path).owner():
        return False
    with suppress(OSError):
        mailbox.send(["stop"])
        return True
    return False


def _write_failure(path: Path, reason: str) -> None:
    """Writes the result of a run that can't write one; not where another process may."""
    folder = Folder(path)
    with suppress(OSError), folder.lock.held():
        result = folder.read_result() or {}
        folder.write_result({"steps": 0, "metrics": {}, **result, "status": "failed",
                             "reason": reason})  # fmt: skip
