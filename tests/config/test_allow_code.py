"""Code that a config names runs by the word of whoever starts it, never by a file's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import schedules.__main__
import trainer.__main__
import trainer.export
import trainer.predict
from schedules import Refused
from tests.helpers.runs import SMALL, result, trained
from trainer.commands.api import train
from trainer.config.experiment import Experiment

CODE = "tests.helpers.functions"
CUSTOM = {"kind": "custom", "call": f"{CODE}:tenth"}
HINT = f"hint: read it first; then type allow_code=true or allow_code=[{CODE}]"


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, an experiment, an option and a schedule of somebody else, who allows it all."""
    folder = tmp_path_factory.mktemp("strangers")
    trained(folder / "run", "run.length=5", "checkpoint.every=5")
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    config |= {"schedule": CUSTOM, "allow_code": True}
    (folder / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    chosen = {
        "defaults": [{"override /schedule": "custom"}],
        "schedule": {"call": CUSTOM["call"]},
    }
    for name, text in {
        "experiment/mine": "# @package _global_\n" + yaml.safe_dump({**chosen, "allow_code": True}),
        "experiment/interpolated": "# @package _global_\nallow_code: ${oc.decode:'true'}\n"
        + yaml.safe_dump(chosen),
        "schedule/mine": yaml.safe_dump(CUSTOM),
        "sweep/mine": "# @package _global_\nhydra: {sweeper: {params: {allow_code: 'true'}}}\n",
        "curve": yaml.safe_dump(CUSTOM),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text)
    return folder


def command(main: Callable[[], Any], *words: str) -> Callable[[Path, pytest.MonkeyPatch], int]:
    """Calls the command; `DIR` among its words stands for the folder of somebody else."""

    def call(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
        arguments = [word.replace("DIR", str(folder)) for word in (*words, *more)]
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        try:
            return int(main() or 0)
        except SystemExit as ended:
            return int(str(ended.code or 0))

    return call


QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null")
"""pytest can't bear loggers that others configure."""
run, curves = trainer.__main__.main, schedules.__main__.main
DOORS = {
    "rerun": command(run, "rerun=DIR/run"),
    "rerun, only shown": command(curves, "table", "rerun=DIR/run"),
    "predict": command(trainer.predict.main, "DIR/run"),
    "export": command(trainer.export.main, "DIR/run", "export=keras"),
    "going on": command(run, *SMALL, "hydra.run.dir=DIR/run", "resume.policy=checkpoint"),
    "experiment": command(run, "experiment=mine", "--config-dir", "DIR"),
    "interpolated": command(run, "experiment=interpolated", "--config-dir", "DIR"),
    "option": command(run, "schedule=mine", "--config-dir", "DIR"),
    "search path": command(run, "experiment=mine", "hydra.searchpath=[file://DIR]"),
    "primary": command(run, *QUIET, "--config-path", "DIR/run"),
    "sweep": command(run, "-m", "schedule=mine", "+sweep=mine", "--config-dir", "DIR"),
    "a sweep's own": command(run, "-m", "experiment=mine", "run.seed=1,2", "--config-dir", "DIR"),
    "curves of an experiment": command(curves, "table", "experiment=mine", "--config-dir", "DIR"),
    "curves of a file": command(curves, "table", "--file", "DIR/curve.yaml"),
    "curves of a run": command(curves, "table", "--file", "DIR/run/config.yaml"),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_takes_the_word_of_a_file(
    door: str,
    strangers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, CODE, raising=False)
    assert DOORS[door](strangers, monkeypatch) == 2, capsys.readouterr()
    refusal = capsys.readouterr().err
    message = "is for the command line" if door == "sweep" else HINT
    assert message in refusal
    assert CODE not in sys.modules
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "door", ["rerun, only shown", "curves of an experiment", "curves of a file", "curves of a run"]
)
def test_what_the_hint_says_is_what_it_takes(
    door: str, strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DOORS[door](strangers, monkeypatch, f"allow_code=[{CODE}]") == 0


def test_predictions_and_exports_take_the_word_of_the_command_line(
    strangers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for door in ("predict", "export"):
        assert DOORS[door](strangers, monkeypatch, "allow_code=true") == 0


@pytest.mark.parametrize(
    "asked",
    [
        lambda folder: Experiment.from_file(folder / "run" / "config.yaml"),
        lambda folder: Experiment.from_file(folder / "experiment" / "mine.yaml"),
        lambda folder: Experiment.composed(f"rerun={folder / 'run'}"),
        lambda folder: Experiment.composed("experiment=mine", config_dir=folder),
        lambda folder: train(
            Experiment.composed(*SMALL, "resume.policy=checkpoint"), folder / "run", quiet=True
        ),
    ],
)
def test_in_a_program_it_is_the_program_that_allows(
    asked: Callable[[Path], Any], strangers: Path
) -> None:
    with pytest.raises(Refused, match="runs only with allow_code=true"):
        asked(strangers)


def test_a_program_allows_by_an_override_or_a_mapping(strangers: Path) -> None:
    file = strangers / "experiment" / "mine.yaml"
    for allowed in (f"allow_code=[{CODE}]", "allow_code=true"):
        assert Experiment.from_file(file, allowed).schedule.kind == "custom"
    assert Experiment.composed({"schedule": CUSTOM, "allow_code": [CODE]}).allow_code == (CODE,)


def test_a_run_goes_on_by_the_same_command_and_whatever_it_now_allows(tmp_path: Path) -> None:
    asked = [f'schedule={{kind: custom, call: "{CODE}:tenth"}}']
    trained(tmp_path, *asked, "allow_code=true", "run.length=8", "run.stop_after=4")
    assert trained(tmp_path, *asked, f"allow_code=[{CODE}]", "run.length=8") == 0
    assert result(tmp_path)["steps"] == 8
