"""The runs of `service_runs.py` in the store of another server; run by a Python that has it.

    PYTHON service_peer_load.py mlflow|tensorboard FOLDER RUNS ROWS

MLflow's tables are written directly, with the columns that its own client fills, as a client sends
a thousand rows at a time. Event files are those of TensorBoard's own writer. Of the long run both
get its loss alone.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from service_runs import ROWS, losses, rate  # noqa: E402  # beside this file

LONG = "long"


def runs(count: int, rows: int) -> Iterable[tuple[str, int, Sequence[float]]]:
    """The name, seed and losses of each run."""
    for number in range(count):
        yield f"sweep-{number // 100}/{number % 100}", number, losses(number)
    yield LONG, count, np.random.default_rng(0).random(rows).tolist()


def mlflow(folder: Path, count: int, rows: int) -> dict[str, str]:
    """A database; gives the ids of the experiment and of the long run."""
    from mlflow.tracking import MlflowClient

    file = folder / "mlflow.sqlite3"
    client = MlflowClient(f"sqlite:///{file}")
    experiment = client.create_experiment("runs", artifact_location=(folder / "files").as_uri())
    long = client.create_run(experiment, run_name=LONG).info.run_id  # it makes the tables
    client.log_metric(long, "loss", 0.5, step=0)
    client.set_terminated(long)
    del client
    with sqlite3.connect(file) as database:
        database.execute("DELETE FROM metrics")
        database.execute("DELETE FROM latest_metrics")
        cursor = database.execute("SELECT * FROM runs")
        columns = [column for column, *_ in cursor.description]
        [like] = [dict(zip(columns, values, strict=True)) for values in cursor]
        now = int(1e3 * time.time())
        for name, seed, values in runs(count, rows):
            run = long if name == LONG else uuid.uuid4().hex
            if name != LONG:
                row = {**like, "run_uuid": run, "name": name}
                marks = ", ".join("?" * len(row))
                database.execute(f"INSERT INTO runs VALUES ({marks})", list(row.values()))
                tag = ("mlflow.runName", name, run)
                database.execute("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tag)
            params = {"run.length": len(values), "run.seed": seed, "schedule.kind": "cosine",
                      "schedule.initial_value": rate(seed)}  # fmt: skip
            database.executemany(
                "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
                [(key, str(value), run) for key, value in params.items()],
            )
            series = {"loss": values}
            if name != LONG:
                series |= {"learning_rate": [0.01] * ROWS, "momentum": [0.9] * ROWS}
            for key, found in series.items():
                database.executemany(
                    "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
                    "VALUES (?, ?, ?, ?, ?, 0)",
                    ((key, value, now + step, run, step) for step, value in enumerate(found)),
                )
                last = (key, found[-1], now + len(found) - 1, len(found) - 1, run)
                database.execute(
                    "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
                    "VALUES (?, ?, ?, ?, 0, ?)", last)  # fmt: skip
    return {"experiment": experiment, "run": long}


def tensorboard(folder: Path, count: int, rows: int) -> dict[str, str]:
    """A folder of event files for each run; gives the file of the long one."""
    for name, _, values in runs(count, rows):
        file = folder / "events" / name / "events.out.tfevents.1.here"
        file.parent.mkdir(parents=True)
        scalars(file, 0, values)
    return {"file": str(file)}


def scalars(file: Path, first: int, values: Iterable[float]) -> None:
    """Adds events of a loss to a file."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    now = time.time()
    with file.open("ab") as opened:
        writer = RecordWriter(opened)
        if not opened.tell():
            writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, value in enumerate(values, first):
            summary = Summary(value=[Summary.Value(tag="loss", simple_value=value)])
            writer.write(Event(wall_time=now, step=step, summary=summary).SerializeToString())


WAYS = {"mlflow": mlflow, "tensorboard": tensorboard}

if __name__ == "__main__":
    if sys.argv[1] == "add":
        scalars(Path(sys.argv[2]), int(sys.argv[3]), [0.5])
    else:
        made = WAYS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        print(json.dumps(made))
