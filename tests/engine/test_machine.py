"""TensorFlow made ready: how many threads an operation may take, which it asks once a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.runs import SMALL, events, experiment, result, trained
from trainer.engine import compile_cache
from trainer.engine.compile_measuring import CompileChoice
from trainer.engine.machine import threads_in_use

ASKED = (*SMALL, "run.compile=auto", "run.length=3")


def trainer(path: Path, *overrides: str) -> dict[str, object]:
    """A run of the command line, in a process of its own, and what it says of itself."""
    command = [sys.executable, "-m", "trainer", *ASKED, *overrides, f"hydra.run.dir={path}"]
    environment = {
        name: value for name, value in os.environ.items() if name != compile_cache.THREADS
    }
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return result(path)


@pytest.mark.slow
@pytest.mark.skipif(
    len(compile_cache.usable_cores()) == 1, reason="there is one thread in any case"
)
def test_a_quick_run_tries_one_thread_and_the_next_takes_what_was_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(compile_cache.THREADS, raising=False)
    # As if every thread together had been faster than any machine is.
    compile_cache.cache_choice(
        experiment(*ASKED), "/CPU:0", CompileChoice("xla", {"xla": "1e9"}, rate=1e9)
    )
    tried = trainer(tmp_path / "tried", "run.stop_after=2")
    assert (tried["compile"], tried["threads"]) == ("xla", 1)
    assert "xla on one thread" in tried["compile_measured"]  # type: ignore[operator]
    [kept] = (tmp_path / "cache").rglob("*.json")
    assert 0 < json.loads(kept.read_text())["rates"]["1"] < 1e9
    after = trainer(tmp_path / "after")
    assert after["threads"] == len(compile_cache.usable_cores())
    assert after["compile_measured"] == tried["compile_measured"]
    # A run goes on as it began, whatever would be chosen now.
    gone_on = trainer(tmp_path / "tried")
    assert (gone_on["steps"], gone_on["threads"]) == (3, 1)


def test_a_process_that_cannot_follow_the_number_of_threads_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tf.zeros(())  # from here on TensorFlow is at work
    trained(tmp_path, "run.compile=auto", "run.length=3", "run.stop_after=2")
    chosen = tmp_path / "chosen.json"
    number = threads_in_use() + 1
    chosen.write_text(json.dumps({**json.loads(chosen.read_text()), "threads": number}))
    assert trained(tmp_path, "run.compile=auto", "run.length=3") == 0
    [event] = events(tmp_path, "threads")
    now = f"an operation takes {threads_in_use()} threads in this process"
    assert event["said"].startswith(now)
    assert f"and {number} before" in capsys.readouterr().out


@pytest.mark.parametrize(("message", "number"), [("3", 3), ("0", 5), ("", 5), ("many", 5)])
def test_what_the_environment_says_counts_where_it_is_a_number(
    message: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0)
    monkeypatch.setattr("trainer.engine.machine.usable_cores", lambda: list(range(5)))
    monkeypatch.setenv(compile_cache.THREADS, message)
    assert threads_in_use() == number


def test_a_number_that_comes_too_late_is_refused(tmp_path: Path) -> None:
    tf.zeros(())  # from here on TensorFlow is at work
    number = threads_in_use() + 1
    with pytest.raises(Refused, match=r"run\.threads.*comes too late"):
        trained(tmp_path, f"run.threads={number}", "run.length=3")


def test_the_number_that_tensorflow_has_taken_by_itself_may_be_declared(tmp_path: Path) -> None:
    tf.zeros(())
    number = threads_in_use()
    assert trained(tmp_path, f"run.threads={number}", "run.length=3") == 0


@pytest.mark.parametrize("number", ["0", "1.5", "many", "1025", "100000000", "1e30", "1" * 30])
def test_a_number_of_threads_is_a_whole_one(number: str) -> None:
    with pytest.raises(Refused, match=r"run\.threads = .*must be a whole number from 1 to 1024"):
        experiment(f"run.threads={number}")
