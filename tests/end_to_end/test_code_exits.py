"""Code that a config names and that ends the process: no run that made nothing seems to be done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import trainer
from schedules import Refused
from schedules.declaration import refuse
from tests.helpers.runs import SMALL, experiment, result, trained
from trainer.training.session import Session

MINE = """
import sys
def leave(*args, **kwargs):
    sys.exit()
def drop(*args, **kwargs):
    raise GeneratorExit
def layers(shape, outputs):
    import keras
    class Leaving(keras.layers.Layer):
        def call(self, inputs):
            sys.exit(0)
    return keras.Sequential([Leaving()])
"""


@pytest.fixture(autouse=True)
def mine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with modules of a user's, on Python's path."""
    folder: Path = tmp_path_factory.mktemp("mine")
    (folder / "leaving.py").write_text(MINE)
    (folder / "gone.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(str(folder))
    for name in ("leaving", "gone"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def doors(call: str) -> dict[str, str]:
    """An override for each place where a config may name a function."""
    return {
        "schedule": f"schedule={{kind: custom, call: '{call}'}}",
        "data": f"data={{kind: python, call: '{call}', batch_size: 8}}",
        "model": f"model={{kind: python, call: '{call}'}}",
        "loss": f"loss={{kind: python, call: '{call}'}}",
        "step": f"loss={{kind: step, call: '{call}'}}",
        "metric": f"metrics.mine={{kind: python, call: '{call}'}}",
    }


@pytest.mark.parametrize("door", doors(""))
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("leaving:leave", "raised SystemExit"),
        ("leaving:drop", "raised GeneratorExit"),
        ("gone:anything", "can't be imported: SystemExit: 0"),
    ],
)
def test_an_exit_is_an_error_of_the_code_wherever_a_config_names_it(
    door: str, call: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        trained(tmp_path, "run.length=3", "allow_code=true", doors(call)[door])
    assert message in str(refused.value)
    assert call in str(refused.value)
    assert not (tmp_path / "result.json").exists()


def test_a_layer_that_ends_the_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"can't take inputs of shape|let in code that raised System"):
        trained(tmp_path, "run.length=3", "allow_code=true", doors("leaving:layers")["model"])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SystemExit(0), "code that the config names raised SystemExit: 0"),
        (GeneratorExit(), "code that the config names raised GeneratorExit"),
        (refuse("schedule.call", "mine:f", "is wrong"), "schedule.call = 'mine:f': is wrong"),
    ],
)
def test_an_exit_in_training_is_a_run_that_failed(
    error: BaseException, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Session, "evaluate", fail)
    assert trained(tmp_path, "run.length=3") == 1
    ended = result(tmp_path)
    assert (ended["status"], ended["reason"]) == ("failed", message)


def test_a_program_that_ends_itself_in_its_callback_is_not_kept_from_it(tmp_path: Path) -> None:
    def leave(call: trainer.Call) -> None:
        sys.exit(3)

    with pytest.raises(SystemExit) as ended:
        trainer.train(experiment("run.length=3"), folder=tmp_path, callback=leave, quiet=True)
    assert ended.value.code == 3
    assert result(tmp_path)["status"] == "failed"


@pytest.mark.parametrize("multirun", [False, True])
def test_the_command_does_not_exit_as_if_it_had_trained(
    multirun: bool, mine: Path, tmp_path: Path
) -> None:
    asked = [*SMALL, "run.length=3", "allow_code=true", doors("gone:anything")["metric"]]
    flags = ["-m", "run.seed=1,2"] if multirun else []
    command = [sys.executable, "-m", "trainer", *asked, *flags]
    path = f"{mine}:{Path(__file__).parents[2]}"
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "can't be imported: SystemExit: 0" in done.stderr
    assert "Traceback" not in done.stderr
