"""The page on security: every promise names a test that is there, and what it advises is so."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "SECURITY.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## What is promised")[2].partition("\n## ")[0]
ROWS = [line for line in SECTION.splitlines() if line.startswith("|")][2:]


def test_there_are_promises() -> None:
    assert len(ROWS) >= 12


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_every_promise_is_held_by_a_test(row: str) -> None:
    promise, held_by = row.strip("| ").rsplit(" | ", 1)
    assert promise.endswith(".")
    file, name = re.fullmatch(r"`(tests/\S+\.py)::(test_\w+)`", held_by).groups()  # type: ignore[union-attr]
    tree = ast.parse((CHECKOUT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_there_is_no_address_but_the_advisory() -> None:
    assert "private advisory" in PAGE.partition("## How to report")[2]
    assert not re.search(r"https?://|\S@\S+\.\w", PAGE)


@pytest.mark.parametrize(("flag", "code"), [("-P", 0), ("-B", 7)])
def test_python_looks_into_the_working_folder_unless_it_is_told_not_to(
    flag: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit(7)\n")
    command = [sys.executable, flag, "-m", "trainer", "--cfg", "job"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == code, shown.stderr
