"""A run folder made before the modules were moved into rooms: it goes on, and it reruns."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.runs import result
from trainer.commands.restored import Restored
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.runs.folder import Folder

FIXTURE = Path(__file__).parents[1] / "fixtures" / "earlier_layout"
"""30 of 60 updates, by version 0.1.0 as it was when `trainer/` was flat.

Its config names the examples of then: `trainer.data.functions:moons`, `trainer.models.given:…` and
`schedules.given:logistic`.
"""
ASKED = (
    *("data=python", "model=python", "schedule=custom", "run.length=60", "run.compile=graph"),
    *("run.threads=1", "run.steps_per_call=10", "log.every=5", "evaluate.every=20"),
    *("checkpoint.every=20", "checkpoint.keep=1", "~log.tensorboard", "data.batch_size=16"),
)
STRAIGHT = "bce05cf0e4c0d5d99b5454a9c5ffb22a70e594f8fd5bd3424634e4d6e55991fa"
"""The digest of the weights that a whole run of then had on the machine that made the fixture."""


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "earlier"))


def plan(*more: str) -> Plan:
    return Plan.of(Experiment.declared(compose([*ASKED, *more])))


def weights(path: Path) -> dict[str, np.ndarray]:
    restored = Restored.of(plan().experiment, Folder(path), "final")
    return {name: np.asarray(value) for name, value in restored.saved.arrays.items()}


def test_the_same_command_goes_on_in_it_to_the_same_weights(earlier: Path, tmp_path: Path) -> None:
    straight = tmp_path / "straight"
    for path in (straight, earlier):  # in processes of their own, for the number of threads
        command = [sys.executable, "-m", "trainer", *ASKED, f"hydra.run.dir={path}"]
        subprocess.run(command, check=True, capture_output=True, cwd=FIXTURE.parents[2])
    assert result(earlier)["steps"] == 60
    if result(straight)["weights_digest"] == STRAIGHT:  # a machine that rounds as that one did
        assert result(earlier)["weights_digest"] == STRAIGHT
    whole, continued = weights(straight), weights(earlier)
    assert whole.keys() == continued.keys()
    for name, value in whole.items():
        np.testing.assert_allclose(continued[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_its_config_names_examples_that_still_run(earlier: Path) -> None:
    assert "trainer.data.functions:moons" in (earlier / "config.yaml").read_text()
    again = Experiment.declared(compose([f"rerun={earlier}", "run.stop_after=null"]))
    assert again == plan().experiment
