"""Folders of what is submitted: whole before they count, and the same ones for the same key."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from schedules import Refused
from schedules.declaration import refuse

from ...runs.atomic_files import flush_folder
from ...runs.known_secrets import holds_secret
from ...runs.run_folders import INDEX, QUEUE, read_index
from ...runs.submission import SUBMISSION, Submission, read_submission
from ..listing.summary import run_id
from ..problems import ServiceError
from .settings import DRAFTS

SUBMITTED = "queue"
"""The folder in a root in which what is submitted gets its own."""
MOST_FLUSHED = 100
"""Of how many files each is brought to the disk by itself; of more, all that the system holds."""


class Request(NamedTuple):
    """What somebody has asked for, besides its jobs."""

    key: str
    """The hash of its `Idempotency-Key`."""
    body: str
    """The hash of its body."""
    name: str
    tags: list[str]
    priority: int
    cores: int | None
    gpus: int | None
    engine: str
    cwd: str


class Submitted(NamedTuple):
    """What is in the folders of a request."""

    folder: Path
    is_sweep: bool
    runs: list[tuple[Path, Submission]]


def hashed(text: str) -> str:
    """A hash that can be a part of a folder's name."""
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def found(root: Path, folder: Path, request: Request) -> Submitted | None:
    """What was submitted with the same key before; None where nothing was.

    Raises:
        ServiceError: a 422 where it was another request.
    """
    if not folder.exists():
        return None
    names = []
    with suppress(Refused):
        names = list(read_index(folder).values())
    paths = [folder / name for name in names] if names else [folder]
    runs = [(path, submission) for path in paths
            if (submission := read_submission(path)) and submission.root == str(root)]  # fmt: skip
    if not runs:
        raise ServiceError(409, "the folder of this Idempotency-Key holds something else")
    before = runs[0][1]
    if (before.key, before.body) != (request.key, request.body):
        raise ServiceError(422, "this Idempotency-Key was used for another request")
    return Submitted(folder, bool(names), runs)


def make(
    root: Path,
    folder: Path,
    request: Request,
    planned: Mapping[str, Any],
    orders: Sequence[float],
) -> Submitted:
    """Makes the folder of a request as a whole, or nothing.

    Raises:
        OSError: when the disk refuses.
        Refused: when a known secret would be written.
    """
    drafts = root / QUEUE / DRAFTS
    drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = drafts / secrets.token_hex(8)
    is_sweep = bool(planned["sweep"])
    sweep = run_id(root, folder) if is_sweep else None
    runs = []
    files = []
    try:
        draft.mkdir()
        for job, order in zip(planned["jobs"], orders, strict=True):
            path = folder / job["folder"]
            submission = Submission(
                id=run_id(root, path),
                root=str(root),
                overrides=job["overrides"],
                arguments=job["arguments"],
                is_search=bool(planned["search"]),
                sweep=sweep,
                submitted=time.time(),
                by=getpass.getuser(),
                order=order,
                **{**request._asdict(), "name": _name(request.name, job["folder"])},
            )
            place = draft / job["folder"]
            place.mkdir(parents=True, exist_ok=True)
            text = f"{submission.model_dump_json(indent=1)}\n"
            if holds_secret(text):
                rule = "has a secret of the server's environment in it"
                raise refuse("overrides", "***", rule, "leave it out")
            (place / SUBMISSION).write_text(text)
            files.append(place / SUBMISSION)
            runs.append((path, submission))
        if is_sweep:
            index = {job["key"]: job["folder"] for job in planned["jobs"]}
            (draft / INDEX).write_text(f"{json.dumps(index, indent=1)}\n")
            files.append(draft / INDEX)
        _flush(files)
        folder.parent.mkdir(exist_ok=True)
        draft.rename(folder)
        flush_folder(folder.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Submitted(folder, is_sweep, runs)


def _name(name: str, folder: str) -> str:
    """What a job is called; those of a sweep by their numbers besides."""
    return f"{name}/{folder}" if name and folder else name


def _flush(files: Sequence[Path]) -> None:
    if len(files) > MOST_FLUSHED:
        os.sync()
        return
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    for folder in {file.parent for file in files}:
        flush_folder(folder)
