"""Ctrl-C while a command starts: every door exits with 130, and says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DOORS = ("trainer", "schedules", "trainer.control", "trainer.predict", "trainer.export",
         "trainer.report")  # fmt: skip
INTERRUPTS = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except BaseException:  # as an import that is optional to whoever asks for it
    raise ImportError
"""
"""A module in the place of a package that a command imports."""


@pytest.mark.parametrize("package", ["numpy", "pydantic", "yaml"])
@pytest.mark.parametrize("door", DOORS)
def test_while_python_imports(door: str, package: str, tmp_path: Path) -> None:
    (tmp_path / f"{package}.py").write_text(INTERRUPTS)
    path = os.pathsep.join((str(tmp_path), str(CHECKOUT)))
    interrupted = subprocess.run(
        [sys.executable, "-m", door, "--help"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (interrupted.returncode, interrupted.stderr) == (130, "")


def test_a_program_that_imports_us_keeps_its_own_handler(tmp_path: Path) -> None:
    script = tmp_path / "trainer.py"
    script.write_text(
        "import sys; sys.path.pop(0)\n"
        "import signal, schedules, trainer.config.experiment\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    message = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert message.stdout == "True\n"
