"""What a run's folder says of its place in a queue: `submission.json`, and `job.json`."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schedules.declaration.plain_files import open_plain

from .atomic_files import write

SUBMISSION = "submission.json"
"""The file that is in a run's folder before whoever submitted it is told so."""
JOB = "job.json"
"""The file that tells of the newest process that a queue has started in a run's folder."""
MAX_BYTES = 4 * 2**20

How = Literal["stop", "terminate", "kill"]
"""The rungs by which a job is stopped: an order, SIGTERM, and SIGKILL of its group."""
File = TypeVar("File", bound=BaseModel)


class Submission(BaseModel):
    """What is to be run, in which place of the queue, and who has said so."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The run's id below the root; a copy of the folder has another, and is not in the queue."""
    root: str
    """The folder whose queue it is in; a copy of the whole root is another."""
    key: str
    """The hash of the request's `Idempotency-Key`."""
    body: str
    """The hash of the request's body."""
    overrides: list[str]
    """The overrides as they were typed; of a sweep's job, its own ones."""
    arguments: list[str]
    """What `python -m trainer` is given, besides the folder and what the server allows."""
    is_search: bool = False
    """Whether it is a search of many trials, which one process runs as a whole."""
    sweep: str | None = None
    """The id of the sweep that it is a job of."""
    cwd: str
    """The folder from which relative paths of the config lead."""
    name: str = ""
    tags: list[str] = []
    submitted: float
    """In seconds since 1970."""
    by: str
    """The user by whom the server runs."""
    priority: int = 0
    """A higher one starts first."""
    order: float
    """Among those of a priority a lower one starts first."""
    held: bool = False
    cancelled: bool = False
    cores: int | None = None
    gpus: int | None = None
    engine: str = "local"
    attempt_limit: Annotated[int, Field(ge=1)] = 3
    """How many processes may die one after another without a new row or checkpoint."""
    attempts_before: int = 0
    """The attempts before it was put into the queue last."""
    stop: How | None = None
    """The highest rung by which it was told to stop."""


class Attempt(BaseModel):
    """One process that was started for a submission, as it was recorded before it began to work."""

    model_config = ConfigDict(frozen=True)

    number: int
    engine: str
    handle: dict[str, str | int]
    """By what the engine knows the process again."""
    cores: list[int] = []
    gpus: list[str] = []
    result_before: str = ""
    """The stamp of the `result.json` that was there before."""
    lines_before: int = 0
    """The most lines of rows that were there before, or of a search's journal."""
    checkpoint_before: str = ""
    """The name of the newest checkpoint that was there before."""
    fruitless: int = 0
    """How many processes before it have died without a new row or checkpoint."""
    exit_code: int | None = None
    """How a search's process ended, which writes no result."""


def read_submission(folder: Path) -> Submission | None:
    """The submission of a run; None where there is none that this user has written."""
    return _read(folder / SUBMISSION, Submission)


def read_attempt(folder: Path) -> Attempt | None:
    """The newest attempt of a run; None where there is none that this user has written."""
    return _read(folder / JOB, Attempt)


def write_submission(folder: Path, submission: Submission) -> None:
    """Writes `submission.json` anew.

    Raises:
        OSError: when the disk refuses.
    """
    write(folder / SUBMISSION, f"{submission.model_dump_json(indent=1)}\n")


def write_attempt(folder: Path, attempt: Attempt) -> None:
    """Writes `job.json` anew.

    Raises:
        OSError: when the disk refuses.
    """
    write(folder / JOB, f"{attempt.model_dump_json(indent=1)}\n")


def stamp(file: Path) -> str:
    """What changes whenever a file is written; "" where there is none."""
    with suppress(OSError):
        status = file.lstat()
        return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
    return ""


def _read(file: Path, kind: type[File]) -> File | None:
    """A file, if this user has written it: another's would have us run what he likes."""
    with suppress(OSError, ValidationError, ValueError), open_plain(
        file, follow_links=False
    ) as opened:  # fmt: skip
        status = os.fstat(opened.fileno())
        if status.st_uid == os.getuid() and not status.st_mode & 0o002:
            return kind.model_validate(json.loads(opened.read(MAX_BYTES)))
    return None
