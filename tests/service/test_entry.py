"""An entry of the queue: what counts as progress of a process that has died."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.runs.submission import Attempt, Submission
from trainer.service.jobs.entry import Entry


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    submission = Submission(id="a", root=str(tmp_path), key="", body="", overrides=[],
                            arguments=[], cwd=str(tmp_path), submitted=0.0, by="me",
                            order=0.0)  # fmt: skip
    attempt = Attempt(number=3, engine="elsewhere", handle={}, lines_before=2, fruitless=1,
                      checkpoint_before="step-0000000100")  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("{}\n\n")
    (tmp_path / "checkpoints/step-0000000100").mkdir(parents=True)
    return Entry(tmp_path, submission, attempt)


def test_a_process_that_made_nothing_new_has_died_in_vain(entry: Entry) -> None:
    assert entry.fruitless() == 2
    (entry.path / "metrics.jsonl").write_text("{}\n")  # cut to the checkpoint, and not grown again
    assert entry.fruitless() == 2


def test_a_new_row_is_progress(entry: Entry) -> None:
    with (entry.path / "metrics.jsonl").open("a") as rows:
        rows.write("{}\n")
    assert entry.fruitless() == 0


def test_the_same_rows_again_are_no_progress_however_long_and_whatever_was_cut(
    entry: Entry,
) -> None:
    rows = entry.path / "metrics.jsonl"
    rows.write_text('{"updates_per_second": 12345.678}\n' * 2)
    assert entry.fruitless() == 2
    rows.write_text("{}\n")  # it died soon after it went on from an older checkpoint
    assert entry.most_lines() == 2  # which the next one has to pass


@pytest.mark.parametrize("name", ["step-0000000101", "step-0000000050-rewind-1"])
def test_a_newer_checkpoint_is_progress_even_where_rows_are_rare(name: str, entry: Entry) -> None:
    (entry.path / "checkpoints" / name).mkdir()
    assert entry.newest_checkpoint() == name
    assert entry.fruitless() == 0


def test_an_older_checkpoint_is_none(entry: Entry) -> None:
    (entry.path / "checkpoints/step-0000000099").mkdir()
    assert entry.fruitless() == 2
