"""Overrides where Python runs without assertions, on which Hydra's parser leans."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.sweeps import ENVIRONMENT

PROGRAM = """
from trainer.config.hydra import compose
from trainer.sweeps.grid import combinations
assert False, "assertions are off here"
print(combinations(["run.seed=range(1,3)", "a=tag(zip,choice(x,y))"]))
print(compose(["optimizer.momentum={kind: constant, value: 0.5}"])["optimizer"]["momentum"])
"""


@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_calls_and_mappings_are_parsed_without_assertions(flag: str) -> None:
    done = subprocess.run(
        [sys.executable, flag, "-c", PROGRAM], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.stderr == ""
    jobs, momentum = done.stdout.splitlines()
    assert "('run.seed=2', 'a=y')" in jobs
    assert momentum == "{'kind': 'constant', 'value': 0.5}"
