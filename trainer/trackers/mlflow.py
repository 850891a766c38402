"""MLflow: a run of its own for each run here, the jobs of a sweep under one parent."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from schedules.declaration import Flag

from ..runs.known_secrets import veil
from .mlflow_runs import create_parent, kept_run_id, locked, read_ids, update_parent
from .model_files import model_files
from .rows import Row
from .tracker import Tracked, Tracker, TrackerRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

STATUS = {"done": "FINISHED", "stopped": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
MAX_ENTRIES = 100
"""MLflow's limit of parameters or tags in a request."""
MAX_METRICS = 1000
"""MLflow's limit of metrics in a request."""
MAX_LENGTH = 6000
"""MLflow's limit of characters in a value."""

CONNECT_SECONDS = 10.0
"""How long a server may take until it accepts a connection."""

T = TypeVar("T")


class Mlflow(Tracker):
    """An MLflow run with the whole config as parameters, the rows as metrics by their steps,
    `config.yaml`, `schedule.svg` and `result.json` as artifacts, and tags that tell of the code,
    the data and the weights.

    The newest checkpoint, with what `trainer.export` needs besides, is an artifact too, and the
    data set is an input of the run. The jobs of a sweep are children of one run of the sweep's
    name, which has the best values that any of them ended with. A run that goes on keeps its MLflow
    run, whose id is in its folder. MLflow takes nothing back: updates that were made again after a
    kill or a rewind are there twice, with their times, and the last evaluation of a run that was
    made longer stays.
    """

    kind: Literal["mlflow"] = "mlflow"
    extra: ClassVar[str] = "mlflow"
    uri: str | None = None
    """The server or store, as in `http://127.0.0.1:5000`; null for MLFLOW_TRACKING_URI.

    Where neither is set: an SQLite file `mlflow.db` in the sweep's folder, or in the folder that
    the run was started in. Credentials belong into MLFLOW_TRACKING_USERNAME and _PASSWORD.
    """
    experiment: str = "trainer"
    """The MLflow experiment that the run is put into, made where it is not there yet."""
    name: str | None = None
    """The name of the MLflow run; null for that of its folder."""
    tags: dict[str, str] = {}  # noqa: RUF012  # pydantic copies a default
    """Words to find the run by, each with a value."""
    notes: str | None = None
    """What is to be said of the run, in Markdown."""
    model: Flag = True
    """Whether the newest checkpoint is kept there too, once the run has ended."""

    def open(self, run: Tracked) -> TrackerRun:
        # MLflow reports its own use to its makers otherwise; a training run reports to its owner.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        import mlflow

        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI")
        id_file = run.folder / f"{run.tracker_name}.json"
        # A run may go on from another working directory than the one in which it began.
        home = run.sweep or Path(read_ids(id_file).get("home", Path.cwd()))
        local = None if uri else home
        _check_reachable(uri or "")
        # Two processes must not both make the tables, the experiment, or the parent.
        with locked(home / f".{run.tracker_name}.lock") if local or run.sweep else nullcontext():
            client = mlflow.MlflowClient(tracking_uri=uri or f"sqlite:///{home / 'mlflow.db'}")
            experiment = _experiment(client, veil(self.experiment), local)
            parent = None
            if run.sweep:
                file = run.sweep / f"{run.tracker_name}.json"
                parent = kept_run_id(
                    file, client, home, lambda: create_parent(client, experiment, home.name)
                )
        tags: dict[str, Any] = {
            **{name: veil(text) for name, text in self.tags.items()},
            **({"mlflow.note.content": veil(self.notes)} if self.notes else {}),
            "mlflow.runName": veil(self.name or run.name),
            "folder": str(run.folder.resolve()),
        }
        if run.git:
            tags["mlflow.source.git.commit"] = str(run.git["commit"])
            tags["git_dirty"] = str(run.git["dirty"]).lower()
        if parent:
            tags["mlflow.parentRunId"] = parent
        earlier_id = read_ids(id_file).get("run_id")
        run_id = kept_run_id(
            id_file, client, home, lambda: client.create_run(experiment, tags=tags).info.run_id
        )
        return _Run(self, client, run_id, run, goes_on=run_id == earlier_id)


class _Run(TrackerRun):
    """One MLflow run."""

    def __init__(
        self, tracker: Mlflow, client: MlflowClient, run_id: str, run: Tracked, *, goes_on: bool
    ) -> None:
        self._tracker, self._client, self._id = tracker, client, run_id
        self._run, self._folder = run, run.folder
        if goes_on:
            losses = client.get_metric_history(run_id, "loss")
            self.recorded_updates = max((loss.step + 1 for loss in losses), default=0)
            evaluations = client.get_metric_history(run_id, "eval_loss")
            self.recorded_evaluation = max((loss.step for loss in evaluations), default=-1)
            client.update_run(self._id, status="RUNNING")
        self._write_parameters(run.config)
        for name in ("config.yaml", "schedule.svg"):
            self._write_artifact(name)

    def go_on(self, step: int) -> None:
        """MLflow takes nothing back."""

    def write(self, rows: Sequence[Row]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = (
            Metric(_safe_name(name), value, now, row["step"])
            for row in rows
            for name, value in row.items()
            if name != "step" and value is not None
        )
        for batch in _batches(metrics, MAX_METRICS):
            self._client.log_batch(self._id, metrics=batch)

    def close(self, result: Mapping[str, Any] | None) -> None:
        if result:
            keys = ("status", "weights_digest", "average_digest", "data_digest", "device")
            self._write_tags({name: str(result[name]) for name in keys if name in result})
            self._write_artifact("result.json")
            self._write_data(str(result.get("data_digest", "")))
            if self._tracker.model:
                for path, file in model_files(self._folder, result).items():
                    folder = f"model/{Path(path).parent}".removesuffix("/.")
                    self._client.log_artifact(self._id, str(file), folder)
            if self._run.sweep and result["status"] not in ("failed", "interrupted"):
                update_parent(self._client, self._id, self._run, result["metrics"])
        status = STATUS.get(result["status"], "FINISHED") if result else "FAILED"
        self._client.set_terminated(self._id, status)

    def _write_parameters(self, config: Mapping[str, Any]) -> None:
        """Writes new parameters; changed ones become tags, as MLflow changes no parameter."""
        from mlflow.entities import Param

        old = self._client.get_run(self._id).data.params
        now = {_safe_name(name): _cut(value) for name, value in config.items() if value is not None}
        new = (Param(name, value) for name, value in now.items() if name not in old)
        for batch in _batches(new, MAX_ENTRIES):
            self._client.log_batch(self._id, params=batch)
        changed = {name: value for name, value in now.items() if old.get(name, value) != value}
        self._write_tags({f"now.{name}": value for name, value in changed.items()})

    def _write_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for batch in _batches((RunTag(name, value) for name, value in tags.items()), MAX_ENTRIES):
            self._client.log_batch(self._id, tags=batch)

    def _write_data(self, digest: str) -> None:
        """Names the data set as an input of the run; MLflow takes 36 characters of its digest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = self._run.data
        kind = str(data.get("kind", "given"))
        source = json.dumps(data, default=str)
        dataset = Dataset(kind, digest[:36] or "unknown", "local", source)
        use = [InputTag("mlflow.data.context", "training")]
        self._client.log_inputs(self._id, [DatasetInput(dataset, use)])

    def _write_artifact(self, name: str) -> None:
        if (self._folder / name).exists():
            self._client.log_artifact(self._id, str(self._folder / name))


def _check_reachable(uri: str) -> None:
    """Checks at once whether a server answers: MLflow's own tries take two minutes.

    Later on these tries are welcome: a server may be started anew while a run goes.

    Raises:
        OSError: when none answers.
    """
    server = urlsplit(uri)
    if server.scheme in ("http", "https") and server.hostname and not getproxies():
        port = server.port or (443 if server.scheme == "https" else 80)
        socket.create_connection((server.hostname, port), CONNECT_SECONDS).close()


def _experiment(client: MlflowClient, name: str, local: Path | None) -> str:
    """The id of an experiment, made where there is none; its files go to `local` if given."""
    if experiment := client.get_experiment_by_name(name):
        return str(experiment.experiment_id)
    location = (local / "mlartifacts").as_uri() if local else None
    tags = {"mlflow.experimentKind": "custom_model_development"}  # it shows prompts otherwise
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


def _batches(entries: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(entries)
    while batch := list(islice(rest, size)):
        yield batch


def _safe_name(name: str) -> str:
    """The name without characters that MLflow refuses, such as the star of a glob."""
    return re.sub(r"[^\w./ -]", "_", name)[:250]


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"
