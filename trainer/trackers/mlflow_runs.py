"""The MLflow runs that a folder knows by their ids: a run's own, and the parent of a sweep's."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from schedules.declaration.plain_files import json_value, read_plain

from ..runs.atomic_files import write
from .tracker import Tracked

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_BYTES = 2**16
"""How large a file of ids may be."""


def create_parent(client: MlflowClient, experiment: str, name: str) -> str:
    """Makes the run that the jobs of a sweep are children of, ends it, and returns its id."""
    run = client.create_run(experiment, tags={"mlflow.runName": name})
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def kept_run_id(file: Path, client: MlflowClient, home: Path, create: Callable[[], str]) -> str:
    """The run id in a file, if the server has that run; else the id of a new run, kept there."""
    from mlflow.exceptions import MlflowException

    if run_id := read_ids(file).get("run_id"):
        try:
            if client.get_run(run_id).info.lifecycle_stage == "active":
                return run_id
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    run_id = create()
    write(file, json.dumps({"run_id": run_id, "home": str(home)}) + "\n")
    return run_id


def read_ids(file: Path) -> dict[str, str]:
    """What a file of this module has: a run's id, and where the store is; empty where none is."""
    with suppress(FileNotFoundError):
        return dict(json_value(read_plain(file, MAX_BYTES, follow_links=False)))
    return {}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes out of the block."""
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def update_parent(
    client: MlflowClient, run_id: str, run: Tracked, metrics: Mapping[str, float]
) -> None:
    """Gives the parent of a sweep the values of a job that are better than those of all before.

    For each metric whose direction is known, as `best_eval_loss`; the tag of that name says which
    job it is of.
    """
    assert run.sweep is not None
    parent = read_ids(run.sweep / f"{run.tracker_name}.json")["run_id"]
    with locked(run.sweep / f".{run.tracker_name}.lock"):
        before = client.get_run(parent).data.metrics
        for name, value in metrics.items():
            sign = {"min": 1, "max": -1}.get(run.better(name) or "")
            best = before.get(f"best_{name}")
            if sign and (best is None or sign * value < sign * best):
                client.log_metric(parent, f"best_{name}", value)
                client.set_tag(parent, f"best_{name}", f"{run.name} ({run_id})")
