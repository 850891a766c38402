"""What can wait waits while something is answered, but not for ever."""

from __future__ import annotations

import threading

import pytest

from trainer.service import answering
from trainer.service.answering import Answering


@pytest.mark.parametrize("how", ["by its first byte", "by its end"])
def test_work_in_background_goes_on_once_nothing_is_being_answered(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "PATIENCE_SECONDS", 60.0)
    asked, done = Answering(), list[str]()

    def work() -> None:
        asked.give_way()
        done.append("piece")

    thread = threading.Thread(target=work)
    with asked.one() as end:
        thread.start()
        thread.join(0.05)
        done.append("answer")
        if how == "by its first byte":
            end()
            thread.join()
    thread.join()
    assert done == ["answer", "piece"]


def test_work_in_background_does_not_wait_for_an_answer_that_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answering, "PATIENCE_SECONDS", 0.01)
    asked = Answering()
    with asked.one():
        asked.give_way()
        with asked.one():  # nor for many that follow each other
            asked.give_way()
