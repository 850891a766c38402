"""What each command imports before it has work to do: no TensorFlow, and no more than it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "tensorflow", "keras", "pyarrow", "pandas", "PIL", "optuna", "jsonschema", "matplotlib",
    "scipy", "mlflow", "wandb", "fastapi", "starlette", "uvicorn", "anyio", "rich",
}  # fmt: skip
CONFIGS = {"hydra", "omegaconf", "antlr4"}
"""What composes configs: a tenth of a second where none is composed."""
WATCHED = """
import atexit, runpy, sys
module, sys.argv = sys.argv[1], sys.argv[1:]
atexit.register(lambda: print("imported", *sys.modules, file=sys.stderr))
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
COMMANDS = {
    "trainer --help": (0, 240, set()),
    "trainer schedule.initial_value=fast": (2, 240, set()),
    "trainer.predict --help": (0, 225, set()),
    "trainer.predict nowhere": (2, 225, set()),
    "trainer.export --help": (0, 205, set()),
    "trainer.report --help": (0, 60, CONFIGS),
    "trainer.report nowhere": (2, 60, CONFIGS),
    "trainer.submit --help": (0, 50, CONFIGS),
    "trainer.queue --help": (0, 50, CONFIGS),
    "trainer.serve --help": (0, 35, CONFIGS),
    "schedules --help": (0, 50, CONFIGS),
    "schedules list cosine": (0, 60, CONFIGS),
    "schedules lint": (0, 185, set()),
    "schedules plot": (0, 185, set()),
}
"""The exit code, the most modules of ours, and what else must wait."""


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_little_before_it_has_work_to_do(command: str, tmp_path: Path) -> None:
    code, most, waiting = COMMANDS[command]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    imported = done.stderr.splitlines()[-1].split()[1:]
    assert not (HEAVY | waiting).intersection(imported)
    ours = [name for name in imported if name.partition(".")[0] in ("trainer", "schedules")]
    assert len(ours) <= most
