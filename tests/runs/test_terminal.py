"""What can't be printed stops no run: a reader that left, a full disk, a closed stream, letters."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import SMALL, result
from trainer.runs.terminal import LenientStream, lenient_streams

TRAIN = " ".join([f"{sys.executable} -m trainer", *SMALL, "run.length=40", "~log.tensorboard"])
CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("to", ["| head -1", ">&-", ">&- 2>&-", "> /dev/full", "> /dev/full 2>&1"])
def test_a_run_ends_as_if_it_had_been_heard(to: str, tmp_path: Path) -> None:
    script = f"set -o pipefail; {TRAIN} hydra.run.dir={tmp_path} {to}"
    command = ["bash", "-c", script.replace("[16]", "'[16]'")]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    assert subprocess.run(command, cwd=tmp_path, env=environment).returncode == 0
    assert result(tmp_path)["status"] == "done"


def test_an_encoding_that_lacks_a_letter_gets_question_marks() -> None:
    held = io.BytesIO()
    stream = LenientStream(io.TextIOWrapper(held, encoding="latin-1"))
    print("0.02 → 0.001 ▇", file=stream, flush=True)  # type: ignore[arg-type]
    assert held.getvalue() == b"0.02 ? 0.001 ?\n"


def test_a_closed_stream_swallows_what_is_written() -> None:
    closed = io.StringIO()
    closed.close()
    stream = LenientStream(closed)
    assert stream.write("lost") == 4
    stream.flush()


def test_everything_else_is_the_streams_own(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with lenient_streams():
        assert sys.stdout.isatty() == before.isatty()
        print("heard")
    assert sys.stdout is before
    assert capsys.readouterr().out == "heard\n"
