"""Trackers: every row reaches each of them, and none of them reaches the run."""

from __future__ import annotations

import csv
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from schedules import Refused
from tests.helpers.runs import events, experiment, result, rows, trained
from trainer.config.experiment import Experiment
from trainer.trackers import Log, Row, Rows, Tracked, Tracker, TrackerRun, delivery, tracker
from trainer.trackers.delivery import TrackerThread
from trainer.trackers.model_files import model_files

SHORT = ("run.length=40", "evaluate.every=15", "run.steps_per_call=4", "checkpoint.every=10")


class Recorded(TrackerRun):
    """Remembers its calls, and calls `first` before it does anything else."""

    def __init__(self, first: Any = lambda method: None) -> None:
        self.calls: list[Any] = []
        self._first = first

    def go_on(self, step: int) -> None:
        self._note("go on", step)

    def write(self, rows: Sequence[Row]) -> None:
        self._note("write", *rows)

    def close(self, result: Mapping[str, Any] | None) -> None:
        self._note("close", result)

    def _note(self, method: str, *arguments: Any) -> None:
        self._first(method)
        self.calls += [(method, argument) for argument in arguments]


TRACKER_RUNS: dict[str, Recorded] = {}


class Remembered(Tracker):
    """Keeps its calls in `TRACKER_RUNS`, by the run's folder."""

    kind: Literal["remembered"] = "remembered"

    def open(self, run: Tracked) -> TrackerRun:
        return TRACKER_RUNS.setdefault(run.folder.name, Recorded())


class Broken(Tracker):
    """Fails: on opening, or at the first call of the method that `at` names."""

    kind: Literal["broken"] = "broken"
    at: str = "open"

    def open(self, run: Tracked) -> TrackerRun:
        self._fail("open")
        return Recorded(self._fail)

    def _fail(self, method: str) -> None:
        if method == self.at:
            raise RuntimeError("no route to http://me:hunter2@host/\nand more")


FOREVER = threading.Event()


class Hung(Tracker):
    """Never comes back, as a server that takes a connection and says nothing."""

    kind: Literal["hung"] = "hung"

    def open(self, run: Tracked) -> TrackerRun:
        FOREVER.wait()
        return Recorded()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without any tracker."""
    path: Path = tmp_path_factory.mktemp("plain")
    assert trained(path, *SHORT, "~log.tensorboard") == 0
    assert not list(path.glob("events.out*"))
    return path


def table(path: Path) -> list[dict[str, float]]:
    """The rows of a CSV file, without what it leaves empty."""
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    return [{name: float(text) for name, text in row.items() if text != ""} for row in found]


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ([], ["tensorboard"]),
        (["~log.tensorboard"], []),
        (["log.tensorboard=null", "log.csv={}"], ["csv"]),
        (["log.mlflow.uri=http://127.0.0.1:5000"], ["mlflow", "tensorboard"]),
        (["~log.tensorboard", "log.wandb.mode=online"], ["wandb"]),
        (["log.second={kind: mlflow, experiment: other}"], ["second", "tensorboard"]),
    ],
)
def test_one_override_switches_a_tracker_on_or_off(overrides: list[str], names: list[str]) -> None:
    assert sorted(experiment(*overrides).log.trackers) == names


def test_what_is_declared_is_written_down_and_read_again() -> None:
    declared = experiment("log.mlflow.experiment=mine", "log.every=7")
    again = Experiment.declared(declared.model_dump(mode="json"))
    assert again == declared
    assert again.log.trackers["mlflow"].model_dump()["experiment"] == "mine"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("log.mlfow.uri=x", "log.mlfow = {'uri': 'x'}: is no known tracker\n  hint: did you mean"),
        ("log.csv=true", "log.csv = true: must be a mapping\n  hint: log.csv={}"),
        ("log.mlflow.url=x", "log.mlflow.url = 'x': is no known key\n  hint: did you mean uri?"),
        ("log.mine={kind: mlfow}", "log.mine.kind = 'mlfow': is no known tracker"),
        ("log.wandb.mode=of", "log.wandb.mode = 'of': must be 'offline' or 'online'"),
    ],
)
def test_what_is_no_tracker_is_refused(asked: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        experiment(asked)
    assert str(refused.value).startswith(message)


def test_a_missing_package_is_told_before_tensorflow_with_what_to_type(tmp_path: Path) -> None:
    script = (
        "import sys, importlib.metadata as m\n"
        "found = m.version\n"
        "def version(name):\n"
        "    if name == 'mlflow': raise m.PackageNotFoundError(name)\n"
        "    return found(name)\n"
        "m.version = version\n"
        "from trainer.__main__ import main\n"
        "try: main()\n"
        "finally: assert not {'tensorflow', 'keras', 'mlflow'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", script, "log.mlflow={}", "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "log.mlflow: needs the package mlflow, which is not installed\n"
        "  from: the override log.mlflow={}\n"
        "  hint: pip install 'scheduled-training[mlflow]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_every_tracker_is_told_every_row_and_the_end(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "every"
    assert trained(folder, *SHORT, "log.remembered={}") == 0
    calls = TRACKER_RUNS["every"].calls
    assert calls[0] == ("go on", 0)
    assert [row for method, row in calls if method == "write"] == rows(folder, timed=True)
    assert calls[-1] == ("close", result(folder))
    assert rows(folder) == rows(plain)


@pytest.mark.parametrize("at", ["open", "go on", "write", "close"])
def test_one_that_fails_changes_nothing_and_is_told_of_once(
    at: str, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(tmp_path, *SHORT, f"log.broken.at={at}", "log.csv={}") == 0
    line = "log.broken failed, and is left out from here on: RuntimeError: no route to http://***@host/"
    assert capsys.readouterr().out.count(line) == 1
    assert [row["said"] for row in events(tmp_path, "tracker")] == [line]
    assert result(tmp_path)["weights_digest"] == result(plain)["weights_digest"]
    assert rows(tmp_path) == rows(plain)
    assert table(tmp_path / "metrics.csv") == rows(tmp_path, timed=True)


def test_one_that_hangs_changes_nothing_and_is_told_of_once(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.metrics_log.PATIENCE", 0.2)
    assert trained(tmp_path, *SHORT, "log.hung={}") == 0
    assert [row["said"] for row in events(tmp_path, "tracker")] == [
        "log.hung did not come back at the end: 43 rows and the result are lost"
    ]
    assert result(tmp_path)["weights_digest"] == result(plain)["weights_digest"]


def test_one_that_is_silent_for_long_is_told_of_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(delivery, "SHORT_PATIENCE", 0.0)
    thread = TrackerThread(Hung(), Tracked(tmp_path, "hung", {}))
    thread.write(Rows.single({"step": 0}))
    time.sleep(0.1)
    first, second = thread.news(), thread.news()
    assert first == ["log.hung has not come back for a while; training goes on without it"]
    assert second == []
    began = time.monotonic()
    thread.close(None, 60)
    assert time.monotonic() - began < 1


def test_one_that_is_slow_gets_fewer_updates_and_every_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.trackers.backlog.MAX_WAITING_ROWS", 100)
    go = threading.Event()
    TRACKER_RUNS[tmp_path.name] = Recorded(lambda method: go.wait())
    thread = TrackerThread(Remembered(), Tracked(tmp_path, "slow", {}))
    thread.go_on(0)
    for step in range(1000):
        thread.write(Rows.single({"step": step, "loss": 1.0}))
        if step % 100 == 99:
            thread.write(Rows.single({"step": step + 1, "eval_loss": 1.0}))
    news = thread.news()
    go.set()
    thread.close(None, 10)
    calls = TRACKER_RUNS[tmp_path.name].calls
    written = [row for method, row in calls if method == "write"]
    assert news == [
        "log.slow is slower than training: it gets some of the rows; metrics.jsonl has all"
    ]
    assert [row["step"] for row in written if "eval_loss" in row] == list(range(100, 1001, 100))
    updates = [row["step"] for row in written if "loss" in row]
    assert 40 < len(updates) < 101
    assert updates == sorted(updates)
    assert updates[0] == 0
    assert updates[-1] > 900


def test_a_table_reads_back_to_the_same_bits(tmp_path: Path) -> None:
    assert trained(tmp_path, *SHORT, "log.csv={}", "log.other={kind: csv}") == 0
    assert table(tmp_path / "metrics.csv") == rows(tmp_path, timed=True)
    assert (tmp_path / "other.csv").read_bytes() == (tmp_path / "metrics.csv").read_bytes()
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert header.startswith("step,epoch,loss,learning_rate,")


def test_one_that_comes_later_gets_the_rows_from_before(plain: Path, tmp_path: Path) -> None:
    """Nor does changing trackers make the folder's run another one."""
    assert trained(tmp_path, *SHORT, "run.stop_after=17", "~log.tensorboard") == 0
    assert trained(tmp_path, *SHORT, "run.stop_after=32", "log.csv={}", "log.remembered={}") == 0
    TRACKER_RUNS[tmp_path.name].recorded_updates = 32
    assert trained(tmp_path, *SHORT, "log.csv={}", "log.remembered={}") == 0
    assert result(tmp_path)["weights_digest"] == result(plain)["weights_digest"]
    assert table(tmp_path / "metrics.csv") == rows(tmp_path, timed=True)
    calls = TRACKER_RUNS[tmp_path.name].calls
    steps = [step for method, step in calls if method == "go on"]
    assert steps == [0, 17, 32]  # 0: it has none yet
    assert [row for method, row in calls if method == "write"] == rows(tmp_path, timed=True)


def test_one_that_a_kill_came_before_gets_what_it_lacks(tmp_path: Path) -> None:
    assert trained(tmp_path, *SHORT, "run.stop_after=20", "~log.tensorboard") == 0
    tracker_run = TRACKER_RUNS[tmp_path.name] = Recorded()
    tracker_run.recorded_updates = 12
    assert trained(tmp_path, *SHORT, "log.remembered={}", "run.stop_after=22") == 0
    assert tracker_run.calls[0] == ("go on", 12)
    written = [row for method, row in tracker_run.calls if method == "write"]
    assert written == rows(tmp_path, timed=True)[12:]


def test_how_often_rows_are_written_still_binds_the_folder(tmp_path: Path) -> None:
    trained(tmp_path, *SHORT, "run.stop_after=5", "~log.tensorboard")
    with pytest.raises(Refused, match=r"log\.every +1 +2"):
        trained(tmp_path, *SHORT, "log.every=2", "~log.tensorboard")


def test_a_table_forgets_what_a_kill_or_a_rewind_took_back(tmp_path: Path) -> None:
    """A killed process's CSV may be ahead of the checkpoint, or behind it."""
    assert trained(tmp_path, *SHORT, "log.csv={}", "run.stop_after=20") == 0
    lines = (tmp_path / "metrics.csv").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.csv").write_text("".join(lines[:9]) + "21,9,9,9,9\n22,9")
    assert trained(tmp_path, *SHORT, "log.csv={}") == 0
    assert table(tmp_path / "metrics.csv") == rows(tmp_path, timed=True)

    tracker_run = Log.declared({"csv": {}}).trackers["csv"].open(Tracked(tmp_path, "csv", {}))
    tracker_run.go_on(0)
    tracker_run.write([{"step": 0, "learning_rate": 1.0}, {"step": 1, "eval_loss": 2.0}])
    tracker_run.write([{"step": 1, "learning_rate": 1.0}, {"step": 2, "eval_loss": 2.0}])
    tracker_run.go_on(1)
    tracker_run.write([{"step": 1, "learning_rate": 0.5}])
    tracker_run.close(None)
    assert table(tmp_path / "metrics.csv") == [
        {"step": 0, "learning_rate": 1.0},
        {"step": 1, "eval_loss": 2.0},
        {"step": 1, "learning_rate": 0.5},
    ]


def test_what_a_tracker_is_told_of_the_config_holds_no_secret(tmp_path: Path) -> None:
    seen: list[Tracked] = []

    class Curious(Tracker):
        kind: Literal["curious"] = "curious"

        def open(self, run: Tracked) -> TrackerRun:
            seen.append(run)
            return Recorded()

    (tmp_path / "config.yaml").write_text("a: {token: '${oc.env:HOME}', rate: 1.0e-05}\n")
    from trainer.runs.folder import Folder

    delivery.Trackers.started(Log.declared({"curious": {}}), Folder(tmp_path)).close(None)
    assert seen[0].config == {"a.token": "${oc.env:HOME}", "a.rate": 1e-05}


@pytest.mark.parametrize(("file", "name"), [("sweep.json", "rates/7"), ("study.journal", "rates/7"),
                                            ("else", "7")])  # fmt: skip
def test_a_run_is_called_by_its_folder_and_its_sweeps(
    file: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rates" / "7").mkdir(parents=True)
    (tmp_path / "rates" / file).touch()
    monkeypatch.chdir(tmp_path / "rates")
    assert Tracked(Path("7"), "csv", {}).name == name


def test_the_package_is_looked_for_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "is_missing", lambda name: True)
    Log.declared({"csv": {}, "tensorboard": {}}).check()
    with pytest.raises(Refused, match=r"log\.wandb: .*\n.*scheduled-training\[wandb\]"):
        Log.declared({"wandb": {}}).check()


def test_the_files_of_a_model_are_settings_and_the_newest_checkpoint(tmp_path: Path) -> None:
    names = ["config.yaml", "preparation.json", "result.json", "metrics.jsonl"]
    steps = ["checkpoints/step-0000000009/state.npz", "checkpoints/step-0000000010/state.npz"]
    for name in [*names, *steps]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    kept = model_files(tmp_path, {"status": "done"})
    assert set(kept) == {*names[:3], steps[1]}
    assert all(kept[name] == tmp_path / name for name in kept)
    for ended in (None, {"status": "failed"}, {"status": "interrupted"}):
        assert model_files(tmp_path, ended) == {}


def test_which_way_a_metric_gets_better_is_what_the_config_says() -> None:
    run = Tracked(Path(), "csv", {"metrics.mine.kind": "f1", "data.kind": "digits", "data.x": 1})
    assert [run.better(f"eval_{name}") for name in ("loss", "mine", "other")] == [
        "min", "max", None
    ]  # fmt: skip
    assert run.data == {"kind": "digits", "x": 1}


@pytest.mark.parametrize(
    ("variables", "netrc", "has_key"),
    [
        ({}, "", False),
        ({"WANDB_API_KEY": "k"}, "", True),
        ({}, "machine api.wandb.ai login user password k", True),
        ({}, "machine elsewhere login user password k", False),
        ({"WANDB_BASE_URL": "https://elsewhere"}, "machine elsewhere login a password k", True),
        ({}, "}{ no netrc", False),
    ],
)
def test_wandb_online_without_a_key_is_refused_with_what_to_type(
    variables: dict[str, str],
    netrc: str,
    has_key: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".netrc").write_text(netrc)
    monkeypatch.setattr(tracker, "is_missing", lambda name: False)
    log = Log.declared({"wandb": {"mode": "online"}})
    Log.declared({"wandb": {}}).check()
    if has_key:
        log.check()
        return
    with pytest.raises(Refused) as refused:
        log.check()
    assert str(refused.value) == (
        "log.wandb.mode = 'online': has no key to send with\n"
        "  hint: wandb login; or export WANDB_API_KEY=…, or log.wandb.mode=offline"
    )


@pytest.mark.parametrize("override", ["log.mlflow={tags: {a: b}, notes: x, model: false}",
                                      "log.wandb={tags: [a], notes: x, model: false}"])  # fmt: skip
def test_tags_and_notes_are_declared_as_the_service_has_them(override: str) -> None:
    declared = experiment(override)
    assert Experiment.declared(declared.model_dump(mode="json")) == declared
