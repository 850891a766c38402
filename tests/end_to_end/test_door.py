"""`python -m trainer` as people type it: what it prints, leaves and exits with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.runs import SMALL, result, rows

MOST_MODULES = 250
"""How many of ours the door may import before it trains: each takes about a millisecond."""
# Runs the door and then says on stderr what came in on the way that should wait.
WATCHED = f"""
import sys
from trainer.__main__ import main
HEAVY = (
    "tensorflow", "keras", "keras_hub", "numba", "onnx", "onnxruntime", "pyarrow", "pandas", "PIL",
    "optuna", "jsonschema", "matplotlib", "scipy", "mlflow", "wandb", "fastapi",
    "starlette", "uvicorn", "trainer.service",
    # kinds that no config here names
    "schedules.kinds.noise", "trainer.optimizers.adam", "trainer.models.transformer",
    "trainer.losses.distances", "trainer.metrics.distances", "trainer.trackers.wandb",
    "trainer.data.sources.parquet", "trainer.data.sources.images",
)
try:
    main()
finally:
    ours = sum(name.partition(".")[0] in ("trainer", "schedules") for name in sys.modules)
    too_many = [f"{{ours}} modules"] if ours > {MOST_MODULES} else []
    print("imported:", *(name for name in HEAVY if name in sys.modules), *too_many, file=sys.stderr)
"""


def trainer(*arguments: str, cwd: Path, watched: bool = False) -> subprocess.CompletedProcess[str]:
    door = ["-c", WATCHED] if watched else ["-m", "trainer"]
    command = [sys.executable, *door, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_one_command_trains_and_says_where_it_all_is(tmp_path: Path) -> None:
    done = trainer(*SMALL, "run.length=30", "schedule=cosine_restarts", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = tmp_path.glob("outputs/*/*")
    held = {path.name for path in folder.iterdir()}
    assert held >= {"config.yaml", "metrics.jsonl", "result.json", "checkpoints", "schedule.svg"}
    assert "cosine_restarts · momentum · mlp on digits: 30 updates" in done.stdout
    assert "done at step 30  eval_loss" in done.stdout
    assert str(folder.relative_to(tmp_path)) in done.stdout


def test_the_same_command_goes_on_and_a_finished_run_says_so(tmp_path: Path) -> None:
    asked = (*SMALL, "run.length=30", "hydra.run.dir=here")
    first = trainer(*asked, "run.stop_after=10", cwd=tmp_path)
    assert "stopped at step 10" in first.stdout
    second = trainer(*asked, cwd=tmp_path)
    assert "going on at step 10" in second.stdout
    digest = result(tmp_path / "here")["weights_digest"]
    third = trainer(*asked, cwd=tmp_path, watched=True)
    assert third.returncode == 0
    assert "done at step 30" in third.stdout
    assert third.stderr == "imported:\n"
    trainer(*SMALL, "run.length=30", "hydra.run.dir=whole", cwd=tmp_path)
    assert result(tmp_path / "whole")["weights_digest"] == digest
    assert rows(tmp_path / "whole") == rows(tmp_path / "here")


@pytest.mark.parametrize(
    ("asked", "message"),
    {
        "schedule=cosin": (
            "schedule = 'cosin': is no option of this group\n  hint: did you mean cosine?"
        ),
        "schdule=cosine": "schdule = 'cosine': is no known key\n  hint: did you mean schedule?",
        "schedule.initial_value=fast": (
            "schedule.initial_value = 'fast': must be a number\n"
            "  from: the override schedule.initial_value=fast"
        ),
        "run.lenght=3": (
            "run.lenght = 3: is no known key\n"
            "  from: the override run.lenght=3\n"
            "  hint: did you mean length?"
        ),
        "optimizer.learning_rate=0.1": (
            "optimizer.learning_rate = 0.1: is no known key\n"
            "  from: the override optimizer.learning_rate=0.1\n"
            "  hint: schedule=constant schedule.value=0.1"
        ),
        "data.batch_size=5000": (
            "data.batch_size = 5000: must not exceed the 4000 training examples\n"
            "  from: the override data.batch_size=5000\n"
            "  hint: data.batch_size=4000"
        ),
        "run.length=20%": (
            "run.length = '20%': must not be a share of itself\n"
            "  from: the override run.length=20%\n"
            "  hint: run.length='10 epochs'"
        ),
        "schedule=cosine,linear": (
            "schedule = 'cosine,linear': is several values, which needs a multirun\n"
            "  hint: python -m trainer -m …"
        ),
        "run.seed=[1": "run.seed = '[1': is not closed\n  hint: a shell splits words at spaces",
        "model": "override = 'model': is no override\n  hint: model=OPTION; known: applications,",
    }.items(),
)  # fmt: skip
def test_a_refused_config_exits_2_without_traceback_folder_or_tensorflow(
    asked: str, message: str, tmp_path: Path
) -> None:
    refused = trainer(asked, cwd=tmp_path, watched=True)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stderr.endswith("imported:\n")
    assert not list(tmp_path.rglob("*.*"))


def test_a_refused_value_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "schedule"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text("kind: constant\n\nvalue: .nan\n")
    refused = trainer("--config-dir", "mine", "schedule=own", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"schedule.value = nan: must be finite\n  from: {folder / 'own.yaml'}:3\n"
        "  hint: give an ordinary number\n"
    )


def test_a_users_own_folder_adds_options_to_any_group(tmp_path: Path) -> None:
    for group, text in {
        "schedule": "kind: constant\nvalue: 0.25\n",
        "model": "kind: mlp\nhidden: [3]\n",
    }.items():
        (tmp_path / "mine" / group).mkdir(parents=True)
        (tmp_path / "mine" / group / "own.yaml").write_text(text)
    shown = trainer(
        "--config-dir", "mine", "schedule=own", "model=own", "--cfg", "job", cwd=tmp_path
    )
    assert shown.returncode == 0
    assert "value: 0.25" in shown.stdout
    assert "- 3" in shown.stdout


@pytest.mark.parametrize(
    "flags",
    [["--help"], ["--cfg", "job"], ["--cfg", "job", "--resolve"],
     ["-m", "--cfg", "job", "run.seed=1,2"]],
    ids=" ".join,
)  # fmt: skip
def test_showing_a_config_imports_no_tensorflow(flags: list[str], tmp_path: Path) -> None:
    shown = trainer(*flags, cwd=tmp_path, watched=True)
    assert (shown.returncode, shown.stderr) == (0, "imported:\n")
    assert "batch_size: 64" in shown.stdout


def test_a_dry_run_refuses_what_training_would_and_leaves_nothing(tmp_path: Path) -> None:
    asked = ("--cfg", "job", "data=csv", "data.path=nowhere.csv", "data.target=prize")
    refused = trainer(*asked, cwd=tmp_path, watched=True)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "data.path = " in refused.stderr
    assert refused.stderr.endswith("imported:\n")
    assert list(tmp_path.iterdir()) == []


def test_a_mapping_that_names_its_kind_replaces_the_one_before(tmp_path: Path) -> None:
    asked = "schedule={kind: exponential, initial_value: 0.1, decay_rate: 0.5}"
    shown = trainer(asked, "--cfg", "job", cwd=tmp_path)
    assert "kind: exponential" in shown.stdout
    assert "alpha" not in shown.stdout


def test_interrupted_it_writes_a_checkpoint_and_exits_130(tmp_path: Path) -> None:
    asked = [*SMALL, "run.length=1000000", "checkpoint.every=100%", "hydra.run.dir=here"]
    command = [sys.executable, "-m", "trainer", *asked]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    metrics = tmp_path / "here" / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    message, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped by SIGINT" in message
    (checkpoint,) = (tmp_path / "here" / "checkpoints").iterdir()
    steps = result(tmp_path / "here")["steps"]
    assert json.loads((checkpoint / "manifest.json").read_text())["body"]["step"] == steps > 0


def test_a_multirun_trains_every_combination(tmp_path: Path) -> None:
    asked = (*SMALL, "run.length=5", "schedule=cosine,exponential", "run.seed=1,2", "-m")
    done = trainer(*asked, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    folders = sorted(tmp_path.glob("multirun/*/*/*/result.json"))
    assert [path.parent.name for path in folders] == ["0", "1", "2", "3"]
    assert len({result(path.parent)["weights_digest"] for path in folders}) == 4
