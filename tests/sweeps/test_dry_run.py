"""`--cfg`: the config as Hydra prints it, refused as training does, and what would be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra._internal.utils import get_args_parser

from schedules.declaration import Refused
from tests.helpers.runs import SMALL, trained
from trainer.config.hydra import normalize_overrides
from trainer.config.hydra_application import application
from trainer.runs.folder import Folder
from trainer.sweeps.dry_run import is_dry_run, show

Shown = Callable[..., str]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Shown:  # type: ignore[type-arg]
    """What a dry run prints in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        flags = [word for word in arguments if word.startswith("-")]
        values = [arguments[arguments.index(flag) + 1] for flag in flags if flag in VALUED]
        overrides = [word for word in arguments if word not in flags and word not in values]
        capsys.readouterr()
        show([*normalize_overrides(overrides), *(w for w in arguments if w not in overrides)])
        printed = capsys.readouterr()
        assert printed.err == ""
        return str(printed.out)

    return run


VALUED = ("--cfg", "--package")


def comments(printed: str) -> list[str]:
    return [line.removeprefix("# ") for line in printed.splitlines() if line.startswith("# ")]


@pytest.mark.parametrize(
    "flags",
    [["--cfg", "job"], ["--cfg", "hydra"], ["--cfg", "all"], ["--cfg", "job", "--resolve"],
     ["--cfg", "job", "--package", "run"], ["--cfg", "hydra", "--package", "hydra.sweep"],
     ["--cfg", "job", "--package", "run.seed"], ["--cfg", "job", "--package", "_global_"]],
    ids=" ".join,
)  # fmt: skip
def test_the_yaml_is_hydras_own_to_the_letter(
    flags: list[str], shown: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [*SMALL, "run.length=20", "schedule=rex"]
    printed = shown(*overrides, *flags)
    own = get_args_parser().parse_args([*normalize_overrides(overrides), *flags])
    with application(own) as hydra:
        hydra.show_cfg("config", own.overrides, own.cfg, own.package, own.resolve)
    hydras = capsys.readouterr().out
    words = (
        []
        if "hydra" in flags
        else ["rex · momentum · mlp on digits: 20 updates of 64 examples (20 steps)"]
    )
    assert printed == hydras + "".join(f"# {line}\n" for line in words)
    assert yaml.safe_load(printed) == yaml.safe_load(hydras)


@pytest.mark.parametrize("several", [False, True], ids=["one run", "a sweep"])
@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("optimizer.momentum=7", "optimizer.momentum"),
        ("run.length=fast", "run.length"),
        ("run.stop_after=fast", "run.stop_after"),
        ("run.replay=nowhere.jsonl", "run.replay"),
        ("rerun=nowhere", "rerun"),
        ("schedule={kind: linear, initial_value: 0.1, end_value: -0.1}", "learning_rate"),
        ("schedule={kind: plateau, initial_value: 0.1, metric: eval_f1}", "schedule.metric"),
        ("checkpoint.keep_best={metric: eval_f1}", "checkpoint.keep_best.metric"),
        ("loss=mean_squared_error", "loss"),
        ("schedule={kind: custom, call: 'mine:curve'}", "schedule.call"),
        ("data={kind: csv, path: nowhere.csv, target: price}", "data.path"),
        ("data={kind: csv, path: mine.csv, target: prize}", "data.target"),
        ("data={kind: npz, path: mine.npz, inputs: x, labels: z}", "data.labels"),
        ("data={kind: image_folder, path: empty}", "data.path"),
    ],
)  # fmt: skip
def test_what_training_would_refuse_is_refused(
    override: str, path: str, several: bool, shown: Shown
) -> None:
    import numpy as np

    Path("mine.csv").write_text("rooms,price\n" + "3,100\n" * 20)
    np.savez("mine.npz", x=np.zeros((20, 3), np.float32), y=np.arange(20) % 2)
    Path("empty").mkdir()
    asked = ["model=mlp", "data=digits", override, "--cfg", "job"]
    with pytest.raises(Refused) as refused:
        shown(*asked, *(["run.seed=1,2", "-m"] if several else []))
    assert any(problem.path.startswith(path) for problem in refused.value.problems)
    assert {found.name for found in Path().iterdir()} == {"mine.csv", "mine.npz", "empty"}


def test_a_sweep_tells_its_jobs_and_their_updates_each_and_in_all(shown: Shown) -> None:
    zipped = ("run.length=zip(100,23)", "schedule=zip(rex,cosine)")
    printed = shown(*SMALL, *zipped, "run.seed=1,2", "hydra.sweep.dir=all", "-m", "--cfg", "job")
    assert yaml.safe_load(printed)["data"]["kind"] == "digits"
    assert comments(printed) == [
        "4 jobs, 246 updates in all, in all",
        "  0  100 updates  run.length=100 schedule=rex run.seed=1",
        "  1  100 updates  run.length=100 schedule=rex run.seed=2",
        "  2   23 updates  run.length=23 schedule=cosine run.seed=1",
        "  3   23 updates  run.length=23 schedule=cosine run.seed=2",
    ]
    assert not Path("all").exists()


def test_every_problem_of_every_job_is_told_with_its_job(shown: Shown) -> None:
    asked = ("run.seed=1,fast", "schedule.initial_value=0.1,.nan", "-m", "--cfg", "job")
    with pytest.raises(Refused) as refused:
        shown(*SMALL, *asked)
    text = str(refused.value)
    assert "run.seed = 'fast': must be a number\n  in: the job run.seed=fast" in text
    assert "schedule.initial_value" in text
    assert "in: the job run.seed=1 schedule.initial_value=.nan" in text


def test_a_search_tells_its_trials_and_what_they_draw(shown: Shown) -> None:
    pytest.importorskip("optuna")
    assert comments(shown("experiment=search", "hydra.sweep.dir=all", "--cfg", "job")) == [
        "a search of 30 trials that minimizes eval_loss, in all",
        "  schedule=choice(cosine,rex,one_minus_sqrt)",
        "  schedule.initial_value=tag(log,interval(0.001,1))",
        "  optimizer.momentum=interval(0,0.99)",
    ]


def test_a_folder_tells_how_far_its_run_is_and_what_differs(shown: Shown) -> None:
    asked = ("schedule=constant", "schedule.value=0.01", "checkpoint.every=2", "hydra.run.dir=one")
    trained(Path("one"), *asked[:3], "run.length=8", "run.stop_after=4")
    before = {path: path.stat().st_mtime_ns for path in Path("one").rglob("*")}
    assert comments(shown(*SMALL, *asked, "run.length=8", "--cfg", "job")) == [
        "constant · momentum · mlp on digits: 8 updates of 64 examples (8 steps)",
        "goes on at step 4, in one",
        "other than before:",
        "                  in the folder  now",
        "  run.stop_after  4              null",
    ]
    longer = shown(*SMALL, *asked, "run.length=12", "run.stop_after=6", "--cfg", "job")
    assert "stops after update 6, as run.stop_after says" in comments(longer)
    assert "  run.length      8              12" in comments(longer)
    with pytest.raises(Refused, match=r"holds a run that was declared otherwise(.|\n)*run.seed"):
        shown(*SMALL, *asked, "run.length=8", "run.seed=2", "--cfg", "job")
    assert {path: path.stat().st_mtime_ns for path in Path("one").rglob("*")} == before


def test_a_sweeps_folder_tells_which_jobs_are_done(shown: Shown) -> None:
    Path("all/7").mkdir(parents=True)
    Path("all/sweep.json").write_text(json.dumps({"else": "7"}))
    asked = (*SMALL, "run.length=8", "run.seed=1,2", "hydra.sweep.dir=all", "-m", "--cfg", "job")
    assert [line[:3] for line in comments(shown(*asked))[1:]] == ["  0", "  1"]
    trained(Path("all/0"), "run.length=8")
    Path("all/0").rename("all/named-1")
    named = shown(*asked, "hydra.sweep.subdir='named-${run.seed}'")
    assert comments(named)[1:] == [
        "  named-1  8 updates  run.seed=1  (done already at step 8)",
        "  named-2  8 updates  run.seed=2",
    ]


def test_a_folder_that_another_process_writes_to_is_refused(shown: Shown) -> None:
    Path("one").mkdir()
    with Folder(Path("one")).locked(), pytest.raises(Refused, match="is being written to by"):
        shown(*SMALL, "hydra.run.dir=one", "--cfg", "job")
    Path("file").touch()
    with pytest.raises(Refused, match="is a file"):
        shown(*SMALL, "hydra.run.dir=file", "--cfg", "job")


def test_a_run_to_run_again_is_shown_as_it_was(shown: Shown) -> None:
    trained(Path("one"), "run.length=8", "schedule=rex")
    config = yaml.safe_load(shown("rerun=one", "run.seed=5", "--cfg", "job"))
    assert (config["schedule"]["kind"], config["run"]["length"]) == ("rex", 8)
    assert config["run"]["seed"] == 5


@pytest.mark.parametrize(
    ("words", "dry"),
    [(["--cfg", "job"], True), (["-m", "-c", "all"], True), (["--cfg=hydra"], True), ([], False),
     (["--help"], False), (["--info"], False), (["--cfg", "job", "--help"], False)],
)  # fmt: skip
def test_only_cfg_is_a_dry_run(words: list[str], dry: bool) -> None:
    assert is_dry_run(["run.seed=1", *words]) is dry
