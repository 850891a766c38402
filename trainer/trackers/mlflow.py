"""MLflow: a run of its own for each run here, the jobs of a sweep under one parent."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from ..runs.atomic_files import write
from .rows import Row
from .tracker import Tracked, Tracker, TrackerRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

STATUS = {"done": "FINISHED", "stopped": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
ENTRIES, METRICS, LONGEST = 100, 1000, 6000
"""MLflow's limits: parameters or tags in a request, metrics in a request, letters in a value."""

REACHED_SECONDS = 10.0
"""How long a server may take until it accepts a connection."""

T = TypeVar("T")


class Mlflow(Tracker):
    """An MLflow run with the whole config as parameters, the rows as metrics by their steps,
    `config.yaml`, `schedule.svg` and `result.json` as artifacts, and tags that tell of the code,
    the data and the weights.

    The jobs of a sweep are children of one run of the sweep's name. A run that goes on, goes on in
    its MLflow run, whose id is kept in its folder. MLflow takes nothing back: updates that were
    made again after a kill or a rewind are there twice, with their times.
    """

    kind: Literal["mlflow"] = "mlflow"
    extra: ClassVar[str] = "mlflow"
    uri: str | None = None
    """The server or store, as in `http://127.0.0.1:5000`, or else MLFLOW_TRACKING_URI's.

    Where neither says: an SQLite file `mlflow.db` in the folder of the sweep, or in the folder that
    the run was started in. Credentials belong into MLFLOW_TRACKING_USERNAME and _PASSWORD.
    """
    experiment: str = "trainer"
    """The MLflow experiment that the run is put into, made where it is not there yet."""
    name: str | None = None
    """What the run is called, or else as its folder."""

    def open(self, run: Tracked) -> TrackerRun:
        # MLflow reports its own use to its makers otherwise; a training run reports to its owner.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        import mlflow

        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI")
        kept = run.folder / f"{run.called}.json"
        # One may go on with a run from another folder than the one in which it began.
        home = run.sweep or Path(_read(kept).get("home", Path.cwd()))
        local = None if uri else home
        _reach(uri or "")
        # Two processes must not both make the tables, the experiment, or the parent.
        with _alone(home / f".{run.called}.lock") if local or run.sweep else nullcontext():
            client = mlflow.MlflowClient(tracking_uri=uri or f"sqlite:///{home / 'mlflow.db'}")
            experiment = _experiment(client, self.experiment, local)
            above = None
            if run.sweep:
                file = run.sweep / f"{run.called}.json"
                above = _kept(file, client, home, lambda: _parent(client, experiment, home.name))
        tags: dict[str, Any] = {
            "mlflow.runName": self.name or run.name,
            "folder": str(run.folder.resolve()),
        }
        if run.git:
            tags["mlflow.source.git.commit"] = str(run.git["commit"])
            tags["git_dirty"] = str(run.git["dirty"]).lower()
        if above:
            tags["mlflow.parentRunId"] = above
        before = _read(kept).get("run_id")
        this = _kept(
            kept, client, home, lambda: client.create_run(experiment, tags=tags).info.run_id
        )
        return _Run(client, this, run, goes_on=this == before)


class _Run(TrackerRun):
    """One MLflow run."""

    def __init__(self, client: MlflowClient, this: str, run: Tracked, *, goes_on: bool) -> None:
        self._client, self._id = client, this
        self._folder = run.folder
        if goes_on:
            told = client.get_metric_history(this, "loss")
            self.has = max((metric.step + 1 for metric in told), default=0)
            client.update_run(self._id, status="RUNNING")
        self._parameters(run.config)
        for name in ("config.yaml", "schedule.svg"):
            self._artifact(name)

    def go_on(self, step: int) -> None:
        """MLflow takes nothing back."""

    def write(self, rows: Sequence[Row]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = (
            Metric(_safe(name), value, now, row["step"])
            for row in rows
            for name, value in row.items()
            if name != "step" and value is not None
        )
        for part in _parts(metrics, METRICS):
            self._client.log_batch(self._id, metrics=part)

    def close(self, result: Mapping[str, Any] | None) -> None:
        if result:
            told = ("status", "weights_digest", "average_digest", "data_digest", "device")
            self._tag({name: str(result[name]) for name in told if name in result})
            self._artifact("result.json")
        status = STATUS.get(result["status"], "FINISHED") if result else "FAILED"
        self._client.set_terminated(self._id, status)

    def _parameters(self, config: Mapping[str, Any]) -> None:
        """Writes those that are new, and as tags those that have changed: MLflow changes none."""
        from mlflow.entities import Param

        before = self._client.get_run(self._id).data.params
        now = {_safe(name): _short(value) for name, value in config.items() if value is not None}
        new = (Param(name, value) for name, value in now.items() if name not in before)
        for part in _parts(new, ENTRIES):
            self._client.log_batch(self._id, params=part)
        changed = {n: value for n, value in now.items() if before.get(n, value) != value}
        self._tag({f"now.{name}": value for name, value in changed.items()})

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for part in _parts((RunTag(name, value) for name, value in tags.items()), ENTRIES):
            self._client.log_batch(self._id, tags=part)

    def _artifact(self, name: str) -> None:
        if (self._folder / name).exists():
            self._client.log_artifact(self._id, str(self._folder / name))


def _reach(uri: str) -> None:
    """Finds out at once whether anybody is there: MLflow's own tries take two minutes.

    Later on these are welcome, since a server may be started anew while a run goes.

    Raises:
        OSError: when nobody is.
    """
    server = urlsplit(uri)
    if server.scheme in ("http", "https") and server.hostname and not getproxies():
        port = server.port or (443 if server.scheme == "https" else 80)
        socket.create_connection((server.hostname, port), REACHED_SECONDS).close()


def _experiment(client: MlflowClient, name: str, local: Path | None) -> str:
    """The id of an experiment, made where there is none; a `local` one has its files there."""
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    place = (local / "mlartifacts").as_uri() if local else None
    tags = {"mlflow.experimentKind": "custom_model_development"}  # it shows prompts otherwise
    return str(client.create_experiment(name, artifact_location=place, tags=tags))


def _parent(client: MlflowClient, experiment: str, name: str) -> str:
    """Makes the run that the jobs of a sweep are children of; it does nothing and so is ended."""
    made = client.create_run(experiment, tags={"mlflow.runName": name})
    client.set_terminated(made.info.run_id)
    return str(made.info.run_id)


def _kept(file: Path, client: MlflowClient, home: Path, make: Callable[[], str]) -> str:
    """The run whose id a file holds, where that server has it; else one is made, and held."""
    from mlflow.exceptions import MlflowException

    if known := _read(file).get("run_id"):
        try:
            if client.get_run(known).info.lifecycle_stage == "active":
                return known
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    made = make()
    write(file, json.dumps({"run_id": made, "home": str(home)}) + "\n")
    return made


def _read(file: Path) -> dict[str, str]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keeps other processes out of the block."""
    with lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _parts(entries: Iterable[T], most: int) -> Iterator[list[T]]:
    rest = iter(entries)
    while part := list(islice(rest, most)):
        yield part


def _safe(name: str) -> str:
    """A name without what MLflow refuses in one, such as the star of a glob."""
    return re.sub(r"[^\w./ -]", "_", name)[:250]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
