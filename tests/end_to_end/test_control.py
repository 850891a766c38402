"""`python -m trainer.control` where nothing answers: words and an exit code, no traceback."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.control import main
from trainer.runs.folder import Folder
from trainer.runs.mailbox import Mailbox


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Path]:
    """The folder of a run that has begun and opened no mailbox yet."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("{}")
    with Folder(tmp_path / "run").locked():
        yield tmp_path / "run"


def test_a_run_that_is_starting_is_told_as_such(
    starting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(starting), "status", "--timeout", "0.1"]) == 1
    assert capsys.readouterr().err == f"the run in {starting} is starting and takes no orders yet\n"


def test_a_run_that_opens_its_mailbox_in_time_answers(
    starting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer() -> None:
        time.sleep(0.1)
        mailbox = Mailbox(starting)
        mailbox.open()
        while not (letters := list(mailbox.take())):
            time.sleep(0.01)
        mailbox.answer(letters[0], {"step": 7, "told": ["of 10"]})

    run = threading.Thread(target=answer)
    run.start()
    assert main([str(starting), "status"]) == 0
    run.join()
    assert capsys.readouterr().out == "step 7: of 10\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "x"),
         "only the user whose run it is can steer it"),
        (OSError(28, "No space left on device", "x"), "No space left on device"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", ["send", "wait_for_answer"])
def test_a_mailbox_that_can_not_be_used_is_told_in_words(
    at: str,
    error: OSError,
    message: str,
    starting: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    Mailbox(starting).open()
    monkeypatch.setattr(Mailbox, at, fail)
    assert main([str(starting), "status"]) == 1
    assert capsys.readouterr().err == f"{starting}: {message}\n"


@pytest.mark.parametrize("words", [["stop", "{run}"], ["status", "learning_rate=0.1", "{run}"]])
def test_swapped_words_are_told_which_comes_first(
    words: list[str], starting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(run=starting) for word in words]
    assert main(words) == 2
    _, _, hint = capsys.readouterr().err.partition("hint: the folder comes first: ")
    assert hint.split() == ["python", "-m", "trainer.control", str(starting), *words[:-1]]


def test_no_run_at_all_is_told_as_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "stop"]) == 2
    assert capsys.readouterr().err.endswith("hint: a run prints its own\n")
