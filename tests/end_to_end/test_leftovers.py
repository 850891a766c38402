"""A refused command leaves nothing behind, and an existing folder as it was, to the byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schedules import Refused
from tests.helpers.runs import SMALL, experiment, files, trained
from tests.helpers.sweeps import ENVIRONMENT
from trainer.commands.api import train

# Runs the door once for each line of its input, in as many folders, and says how it ended.
DOOR = """
import json, os, sys
from pathlib import Path
from trainer.__main__ import main
codes = []
for folder, arguments in json.load(sys.stdin):
    os.chdir(folder)
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code)
print("codes:", json.dumps(codes))
"""
SWEEP = ("-m", "hydra.sweep.dir=sweeps/first")
HERE = "hydra.run.dir=runs/first"
FRESH: dict[str, tuple[str, ...]] = {
    "an option": ("schedule=cosin",),
    "a key": ("schedule.inital_value=1",),
    "a value": ("run.seed=lucky",),
    "a value, in a folder that is named": ("run.seed=lucky", "hydra.run.dir=new/er/est"),
    "a value, with Hydra's own files": ("run.seed=lucky", "hydra.output_subdir=.hydra"),
    "a curve": ("schedule.initial_value=-1",),
    "a length": ("run.length=1e17",),
    "a data file": ("data=csv", "data.path=nope.csv", "data.target=y"),
    "what is in a data file": ("data=csv", "data.path=bad.csv", "data.target=y"),
    "a model that does not fit the data": ("model={kind: cnn, filters: [4, 4, 4, 4, 4]}",),
    "a model file": ("model={kind: keras_file, path: bad.csv}", "allow_code=true"),
    "a group of no weight": ("optimizer.groups={a: {paths: ['*nope*']}}",),
    "a device": ("device=gpu",),
    "a plugin's tracker": ("log.nope={}",),
    "an export": ("export=keras", "export.weights=ema"),
    "a replay": ("run.replay=nope.jsonl",),
    "a rerun": ("rerun=nope",),
    "a mode": ("mode=lr_find", "lr_find.start=-1"),
    "a job of a sweep": (*SWEEP, "run.seed=1,lucky"),
    "an option in a sweep": (*SWEEP, "schedule=cosine,nope"),
    "a launcher": (*SWEEP, "run.seed=1,2", "hydra/launcher=vectorized", "hydra.launcher.jobs=0"),
    "a folder below a file": ("hydra.run.dir=bad.csv/run",),
    "a folder below a file below a new one": ("hydra.run.dir=newer/../bad.csv/run",),
}
EXISTING: dict[str, tuple[str, ...]] = {
    "a value": (HERE, "run.seed=lucky"),
    "another config": (HERE, "run.seed=7"),
    "another optimizer": (HERE, "optimizer=adam", "resume.policy=config"),
    "an average": (HERE, "ema.momentum=0.9", "resume.policy=config"),
    "a length": (HERE, "run.length=5"),
    "a device": (HERE, "device=gpu", "resume.policy=config"),
    "a model that does not fit the data": (
        *(HERE, "model={kind: cnn, filters: [4, 4, 4, 4, 4]}", "resume.policy=config"),
    ),
    "a group of no weight": (
        *(HERE, "optimizer.groups={a: {paths: ['*nope*']}}", "resume.policy=config"),
    ),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stopped run, and a file that is none of what is asked for."""
    path: Path = tmp_path_factory.mktemp("stopped")
    assert trained(path / "runs" / "first", "run.length=20", "run.stop_after=10") == 0
    (path / "bad.csv").write_text("x,y\n1,a\n")
    (path / "empty").mkdir()
    return path


@pytest.fixture(scope="module")
def refused(
    stopped: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[Path, int]]:
    """The folder and the exit code of each command."""
    root = tmp_path_factory.mktemp("refused")
    asked: dict[tuple[str, str], list[Any]] = {}
    for where, cases in (("fresh", FRESH), ("existing", EXISTING)):
        for i, (case, overrides) in enumerate(cases.items()):
            folder = shutil.copytree(stopped, root / f"{where}{i}")
            words = [*SMALL, "run.length=20", *overrides]
            asked[where, case] = [str(folder), words]
    ended = subprocess.run(
        [sys.executable, "-c", DOOR], input=json.dumps([*asked.values()]), env=ENVIRONMENT,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    codes = json.loads(ended.stdout.rpartition("codes:")[2])
    return {
        key: (Path(folder), code)
        for (key, (folder, _)), code in zip(asked.items(), codes, strict=True)
    }


@pytest.mark.parametrize(
    "case",
    [*(("fresh", case) for case in FRESH), *(("existing", case) for case in EXISTING)],
    ids=": ".join,
)
def test_it_is_as_if_nothing_had_been_asked(
    case: tuple[str, str], refused: dict[tuple[str, str], tuple[Path, int]], stopped: Path
) -> None:
    folder, code = refused[case]
    assert code == 2
    assert files(folder) == files(stopped)
    assert folders(folder) == folders(stopped)


def folders(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*") if found.is_dir()}


@pytest.mark.parametrize("there", [False, True])
def test_a_program_is_left_nothing_either(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "runs" / "a").mkdir(parents=True)
        (tmp_path / "runs" / "a" / "notes.txt").write_text("mine")
    before = files(tmp_path)
    with pytest.raises(Refused, match="means no weight"):
        train(experiment("optimizer.groups={a: {paths: ['*nope*']}}"), tmp_path / "runs" / "a")
    assert files(tmp_path) == before
    assert (tmp_path / "runs").exists() == there


def test_a_folder_that_another_process_writes_to_is_left_to_it(
    stopped: Path, tmp_path: Path
) -> None:
    from trainer.runs.folder import Folder

    path = Path(shutil.copytree(stopped, tmp_path / "all")) / "runs" / "first"
    with Folder(path).locked():
        before = files(path)
        with pytest.raises(Refused, match="is being written to by"):
            train(experiment("run.length=20"), path)
        assert files(path) == before
