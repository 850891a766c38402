"""A run that is run again from what it left: the same bits, and if not, what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schedules import Refused
from tests.helpers.runs import result, trained
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.runs.folder import Folder
from trainer.training.rerun import compare, prepare
from trainer.training.run_config import declare

SCHEDULED = (
    "optimizer=adam", "schedule=exponential", "schedule.decay_rate=0.5", "run.length=12",
    "optimizer.beta_1={kind: linear, initial_value: 0.9, end_value: 0.5}", "model.dropout=0.2",
)  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("first")
    assert trained(path, *SCHEDULED) == 0
    return path


def again(path: Path, *overrides: str) -> int:
    """Trains what `overrides` declare, with none of the tests' own."""
    from trainer.config.experiment import Experiment
    from trainer.training.run import run

    path.mkdir()
    folder = Folder(path)
    return run(declare(folder, Plan.of(Experiment.declared(compose(overrides)))), folder)


def test_the_folder_alone_gives_the_same_bits(first: Path, tmp_path: Path) -> None:
    assert again(tmp_path / "again", f"rerun={first}") == 0
    folder = Folder(tmp_path / "again")
    assert result(folder.path)["weights_digest"] == result(first)["weights_digest"]
    assert folder.config.read_text() == Folder(first).config.read_text()
    message = compare(first, folder)
    assert message
    assert message.startswith("the same run")
    assert result(folder.path)["rerun"]["same"] is True


def test_overrides_are_taken_over_and_all_else_is_the_first_runs(first: Path) -> None:
    overrides = ["run.seed=5", "schedule={kind: constant, value: 0.1}", "model=cnn"]
    changed = compose([f"rerun={first}", *overrides])
    before, plain = compose([f"rerun={first}"]), compose(overrides)
    assert changed["run"] == {**before["run"], "seed": 5}
    assert changed["schedule"] == {"kind": "constant", "value": 0.1}
    assert changed["model"] == plain["model"]
    for group in ("optimizer", "data", "log", "checkpoint"):
        assert changed[group] == before[group]


def test_what_differs_is_named_where_the_bits_do(first: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Folder(other).config.write_text(Folder(first).config.read_text())
    ended = result(first)
    ended |= {"weights_digest": "0", "cores": 96, "data_digest": "1"}
    ended["versions"] = {**ended["versions"], "tensorflow": "3.0"}
    (other / "result.json").write_text(json.dumps(ended))
    message = compare(first, Folder(other))
    assert message
    lines = message.splitlines()
    assert lines[0].startswith("not the same run")
    assert any("cores: was " in line and line.endswith("is 96") for line in lines)
    assert any("data_digest" in line for line in lines)
    assert "  tensorflow: was 2" in message
    assert result(other)["rerun"]["same"] is False


def test_another_config_is_not_compared(first: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Folder(other).config.write_text(Folder(first).config.read_text().replace("0.5", "0.25"))
    (other / "result.json").write_text(json.dumps(result(first)))
    assert compare(first, Folder(other)) is None


def test_what_was_chosen_by_measuring_is_taken_over(first: Path, tmp_path: Path) -> None:
    prepare(first, Folder(tmp_path))
    assert Folder(tmp_path).compile_choice.read_text() == Folder(first).compile_choice.read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["rerun=nowhere"], "rerun = 'nowhere': is not the folder of a run"),
        (["rerun={first}", "experiment=mnist_tf1"], "experiment = 'mnist_tf1': declares another"),
    ],
)
def test_what_is_no_rerun_is_refused(overrides: list[str], message: str, first: Path) -> None:
    with pytest.raises(Refused, match=message):
        compose([override.format(first=first) for override in overrides])


def test_the_result_tells_of_code_seeds_cores_and_data(first: Path) -> None:
    ended = result(first)
    assert ended["seeds"] == {"run": 1}
    assert ended["cores"] >= 1
    assert ended["command"]
    assert len(ended["data_digest"]) == 64
    assert set(ended) >= {"git", "device", "versions", "weights_digest"}
