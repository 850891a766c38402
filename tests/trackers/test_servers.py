"""MLflow and W&B themselves, TensorBoard's own reading, and servers that misbehave."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.runs import events, experiment, result, rows, trained
from trainer.commands.restored import Restored
from trainer.runs.folder import Folder
from trainer.trackers.hparams import ended, started

SHORT = ("run.length=40", "evaluate.every=15", "run.steps_per_call=4", "checkpoint.every=10")


def sweep_of(path: Path) -> Path:
    """A folder that a sweep's jobs may be in."""
    path.mkdir()
    (path / "sweep.json").write_text("{}")
    return path


def test_hyperparameters_are_what_tensorboard_reads() -> None:
    api = pytest.importorskip("tensorboard.plugins.hparams.api_pb2")
    metadata = pytest.importorskip("tensorboard.plugins.hparams.metadata")
    values = {"n": 300, "x": -0.5, "yes": True, "no": False, "kind": "ünï", "list": [1, 2], "z": 0}
    tag, content = started({**values, "none": None}, "sweep/0", 12.5)
    assert tag == metadata.SESSION_START_INFO_TAG
    info = metadata.parse_session_start_info_plugin_data(content)
    message = {name: getattr(v, v.WhichOneof("kind")) for name, v in info.hparams.items()}
    assert message == {**values, "list": "[1, 2]"}
    assert isinstance(message["yes"], bool)
    assert (info.group_name, info.start_time_secs) == ("sweep/0", 12.5)
    for well, status in ((True, api.STATUS_SUCCESS), (False, api.STATUS_FAILURE)):
        tag, content = ended(well, 13.5)
        assert tag == metadata.SESSION_END_INFO_TAG
        end = metadata.parse_session_end_info_plugin_data(content)
        assert (end.status, end.end_time_secs) == (status, 13.5)


@pytest.mark.slow
def test_tensorboard_finds_what_varies_and_what_was_measured(tmp_path: Path) -> None:
    """By the page that asks, the server that answers, and nothing between."""
    pytest.importorskip("tensorboard")
    sweep = sweep_of(tmp_path / "rates")
    for seed in (1, 2):
        assert trained(sweep / str(seed), *SHORT, f"run.seed={seed}") == 0
    command = ["-m", "tensorboard.main", "--logdir", str(sweep), "--host", "127.0.0.1"]
    with subprocess.Popen(
        [sys.executable, *command, "--port", "0", "--load_fast=false"],
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stderr
            address_line = next(line for line in server.stderr if " at http" in line)
            address = f"{address_line.split(' at ')[1].split()[0]}data/plugin/hparams/"
            wanted = {"allowedStatuses": ["STATUS_SUCCESS"], "startIndex": 0, "sliceSize": 9}
            groups: list[Any] = []
            for _ in range(50):  # it reads the folder while it answers
                experiment = asked(address + "experiment", {})
                columns = [
                    {"hparam": info["name"], "includeInResult": True}
                    for info in experiment.get("hparamInfos", [])
                ]
                answer = asked(address + "session_groups", {**wanted, "colParams": columns})
                groups = answer.get("sessionGroups", [])
                if len(groups) == 2:
                    break
                time.sleep(0.2)
        finally:
            server.kill()
    infos = experiment["hparamInfos"]
    assert [info["name"] for info in infos if info["differs"]] == ["run.seed"]
    assert "model.kind" in {info["name"] for info in infos}
    for group in groups:
        ended = result(sweep / str(int(group["hparams"]["run.seed"])))["metrics"]
        message = {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
        assert message["eval/loss"] == pytest.approx(ended["eval_loss"], rel=1e-6)
    assert {group["hparams"]["run.seed"] for group in groups} == {1, 2}


def asked(address: str, question: dict[str, Any]) -> Any:
    """What a page of the server answers."""
    header = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(question).encode(), header)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.parametrize("torn", [False, True])
def test_events_of_one_run_go_on_in_the_next_process(torn: bool, tmp_path: Path) -> None:
    """Also where a kill took the last of the first process's."""
    assert trained(tmp_path, *SHORT, "run.stop_after=20") == 0
    (first,) = tmp_path.glob("events.out.tfevents*")
    if torn:
        first.write_bytes(first.read_bytes()[:-1000])
    time.sleep(1.01)  # the name of the file has seconds
    assert trained(tmp_path, *SHORT) == 0
    message: dict[int, float] = {}
    starts, ends = [], 0
    for path in sorted(tmp_path.glob("events.out.tfevents*")):
        with suppress(tf.errors.DataLossError):
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                if event.HasField("session_log"):
                    starts.append(event.step)
                    message = {step: loss for step, loss in message.items() if step < event.step}
                for value in event.summary.value:
                    if value.tag == "loss":
                        assert event.step not in message
                        message[event.step] = value.simple_value
                    ends += value.tag == "_hparams_/session_end_info"
    assert message == {
        row["step"]: np.float32(row["loss"]) for row in rows(tmp_path) if "loss" in row
    }
    assert (starts[0], starts[-1], len(starts), ends) == (0, 20, 2 + torn, 1)


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def mlflow() -> Any:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    import mlflow

    return mlflow


def history(client: Any, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_the_whole_run_and_goes_on_with_it(
    mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sweep: parameters, metrics by step, tags, artifacts, and a parent."""
    monkeypatch.chdir(tmp_path)
    sweep = sweep_of(tmp_path / "rates")
    asked = (*SHORT, "log.mlflow={tags: {team: vision}, notes: a try}",
             "optimizer.groups={head: {paths: ['*logits*']}}")  # fmt: skip
    assert trained(sweep / "0", *asked, "run.stop_after=20") == 0
    first = json.loads((sweep / "0" / "mlflow.json").read_text())["run_id"]
    assert trained(sweep / "0", *asked) == 0
    assert trained(sweep / "1", *asked, "run.seed=2") == 0
    assert not events(sweep / "0", "tracker")
    assert json.loads((sweep / "0" / "mlflow.json").read_text())["run_id"] == first

    client = mlflow.MlflowClient(f"sqlite:///{sweep / 'mlflow.db'}")
    ours = client.get_experiment_by_name("trainer").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([ours])}
    assert set(runs) == {"rates", "rates/0", "rates/1"}
    run = runs["rates/0"]
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == runs["rates"].info.run_id
    assert run.data.tags["weights_digest"] == result(sweep / "0")["weights_digest"]
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert run.data.params["schedule.kind"] == "cosine"
    assert runs["rates/1"].data.params["run.seed"] == "2"
    message = rows(sweep / "0")
    for name in ("loss", "learning_rate", "eval_loss"):
        wanted = [(row["step"], row[name]) for row in message if name in row]
        assert history(client, first, name) == wanted
    assert {a.path for a in client.list_artifacts(first)} == {
        "config.yaml", "result.json", "model"
    }  # fmt: skip
    assert (run.data.tags["team"], run.data.tags["mlflow.note.content"]) == ("vision", "a try")
    [used] = {(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs}
    assert used == ("digits", result(sweep / "0")["data_digest"][:36])
    best = min(result(sweep / name)["metrics"]["eval_loss"] for name in "01")
    assert runs["rates"].data.metrics["best_eval_loss"] == best
    assert "rates/" in runs["rates"].data.tags["best_eval_accuracy"]
    model = Folder(Path(client.download_artifacts(first, "model", str(tmp_path))))
    restored = Restored.of(experiment(*asked), model, "final")
    assert restored.saved.step == 40
    config = client.download_artifacts(first, "config.yaml", str(tmp_path))
    assert Path(config).read_text() == (sweep / "0" / "config.yaml").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_mlflow_that_is_mute_or_away_changes_nothing(
    mlflow: Any, mute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.metrics_log.PATIENCE", 3.0)
    digests = set()
    for name, override in (
        ("none", "log.csv={}"),
        ("mute", f"log.mlflow.uri={mute}"),
        ("away", "log.mlflow.uri=http://127.0.0.1:9"),
        ("files", "log.mlflow.uri=./mlruns"),
    ):
        assert trained(tmp_path / name, *SHORT, override) == 0
        digests.add(result(tmp_path / name)["weights_digest"])
        lines = [row["said"] for row in events(tmp_path / name, "tracker")]
        assert len(lines) == (name != "none")
        assert all(line.startswith("log.mlflow ") for line in lines)
        assert ("Connection refused" in "".join(lines)) == (name == "away")
    assert len(digests) == 1


def logged(content: bytes) -> Iterator[bytes]:
    """The records of a `.wandb` file: LevelDB's log format behind a header of seven bytes."""
    block, position, parts = 32768, 7, b""
    while position + 7 <= len(content):
        if block - position % block < 7:
            position += block - position % block
        length, kind = struct.unpack_from("<HB", content, position + 4)
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_has_the_whole_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    sweep = sweep_of(tmp_path / "rates")
    folder = sweep / "0"
    monkeypatch.setenv("PLANTED_API_KEY", "hunter2")
    assert trained(folder, *SHORT, "log.wandb={}", "run.stop_after=20") == 0
    time.sleep(1.01)  # the name of W&B's folder has seconds
    words = "log.wandb={tags: [first, second], notes: a try}"
    assert trained(folder, *SHORT, words) == 0
    assert not events(folder, "tracker")
    kept = json.loads((folder / "wandb.json").read_text())["run_id"]
    losses, runs, content = [], set(), b""
    artifacts: dict[str, set[str]] = {}
    tags, summaries = set(), set()
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        content += file.read_bytes()
        for data in logged(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                tags |= set(record.run.tags)
                runs.add((record.run.run_id, record.run.display_name, record.run.run_group))
            if record.HasField("metric") and record.metric.summary.min:
                summaries.add(record.metric.name)
            if record.HasField("artifact"):
                contents = record.artifact.manifest.contents
                artifacts[record.artifact.type] = {entry.path for entry in contents}
            message = {i.key or i.nested_key[0]: i.value_json for i in record.history.item}
            losses += [(int(message["step"]), float(message["loss"]))] if "loss" in message else []
    assert runs == {(kept, "rates/0", "rates")}
    assert losses == [(row["step"], row["loss"]) for row in rows(folder) if "loss" in row]
    assert tags == {"first", "second"}
    assert summaries == {"eval_loss"}
    assert artifacts["dataset"] == set()
    assert {"config.yaml", "preparation.json", "result.json"} < artifacts["model"]
    assert any(path.startswith("checkpoints/step-") for path in artifacts["model"])
    assert b"hunter2" not in content
