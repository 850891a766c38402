"""What the queue reads of its folders does not grow with the jobs that have ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.queued import laid
from trainer.runs.run_folders import submitted_folders
from trainer.runs.submission import read_submission, write_submission
from trainer.service.jobs.engines.engine import Engine
from trainer.service.jobs.launcher import Launcher
from trainer.service.jobs.queue import Queue
from trainer.service.jobs.submitted_folders import SubmittedFolders
from trainer.service.jobs.submitting import Submitted
from trainer.service.permissions import Permissions

NO_ENGINES: Mapping[str, Engine] = {}
"""So that what waits goes on waiting."""
LOOKS = ("open", "os.scandir", "os.listdir")
_looked: list[list[str]] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _looked and event in LOOKS:
        _looked[-1].append(f"{event} {arguments[0]}")


@cache
def _hook() -> None:
    sys.addaudithook(_note)  # it is never taken out again


@contextmanager
def looks() -> Iterator[list[str]]:
    """The files that are opened and the folders that are listed within the block."""
    _hook()
    _looked.append([])
    try:
        yield _looked[-1]
    finally:
        _looked.clear()


def of_a_turn(root: Path, ended: int) -> int:
    """How much a turn looks at, with one job that waits and so many that have ended."""
    root.mkdir()
    laid(root, *(f"job {number}" for number in range(ended + 1)))
    for folder in sorted(submitted_folders(root))[1:]:
        submission = read_submission(folder)
        assert submission
        write_submission(folder, submission.model_copy(update={"cancelled": True}))
    queue = Queue(root, NO_ENGINES, lambda _: None, lambda _: ())
    launcher = Launcher(queue, Permissions(folders=(root,)))
    try:
        launcher._turn()  # the first one reads all folders
        assert [entry.why for entry in queue.entries.values()] == [
            "this server has no engine local"
        ]
        with looks() as looked:
            launcher._turn()
        return len(looked)
    finally:
        launcher.stop()
        launcher.run()  # it only closes what it has opened


@pytest.mark.parametrize("ended", [1, 20])
def test_a_turn_of_the_queue_looks_at_what_waits_alone(tmp_path: Path, ended: int) -> None:
    assert of_a_turn(tmp_path / "some", ended) == of_a_turn(tmp_path / "none", 0)


@pytest.mark.parametrize("before", [1, 20])
def test_submitting_lists_what_was_submitted_once_and_after_changes_of_others(
    tmp_path: Path, before: int
) -> None:
    laid(tmp_path, *(f"job {number}" for number in range(before)))
    folders = SubmittedFolders(tmp_path)
    assert folders.of(f"{0:016}").is_dir()
    assert not folders.of("f" * 16).exists()  # nor is it in the trash
    with looks() as looked:
        for number in range(before, before + 5):
            folder = folders.of(f"{number:015}f")
            folders.make(folder, lambda folder=folder: made(folder))
            assert folders.of(f"{number:015}f") == folder
    assert looked == []
    other = tmp_path / "queue/2020-01-01-00000000000000ff"
    other.mkdir()  # a backup that somebody brings back
    assert folders.of(f"{255:016x}") == other


def made(folder: Path) -> Submitted:
    folder.mkdir()
    return Submitted(folder, False, [])
