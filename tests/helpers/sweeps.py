"""Sweeps as people type them, for tests: small jobs, into the folder `all`."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.runs import SMALL

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}


def command(*asked: str) -> list[str]:
    """The command line of a sweep."""
    return [sys.executable, "-m", "trainer", "-m", *SMALL, "hydra.sweep.dir=all", *asked]


def multirun(cwd: Path, *asked: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a sweep in a process of its own, as it would be without pytest."""
    return subprocess.run(
        command(*asked), cwd=cwd, env={**ENVIRONMENT, **environ}, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a sweep's `sweep.csv`."""
    with (path / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))
