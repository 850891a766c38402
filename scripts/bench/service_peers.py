"""The servers of MLflow and of TensorBoard over the same runs, each alone, one after another."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from part import Mark, Part
from service_charts import ids, question, rows_told, wait_until_exact
from service_lists import API
from service_runs import make_long_run, make_runs
from service_scale import ServiceScale
from service_server import Client, paces, resident_in_all, serving, wait

LOAD = str(Path(__file__).resolve().parent / "service_peer_load.py")
ROWS_WRITTEN = 8
"""How often it is measured until a row is served: TensorBoard looks each five seconds."""
SETTLED_SECONDS = 5.0
"""After how long without a question a server is taken to idle."""


class Answers(NamedTuple):
    """What one server needs for the same questions."""

    listed: float
    """Seconds of the list, the 95th percentile."""
    first: float
    """Seconds of the first chart of the long run since the server was started."""
    again: float
    """Seconds of that chart afterwards, the 95th percentile."""
    written: float
    """Seconds from a row that is written until it is served, the 95th percentile."""
    idle: float
    after: float
    """Megabytes resident, of all of its processes."""


class Questions(NamedTuple):
    """How a server is asked."""

    listed: Callable[[int], tuple[float, bytes]]
    chart: Callable[[int], tuple[float, bytes]]
    write: Callable[[int], tuple[float, bytes]]


def peers(scale: ServiceScale, python: str) -> Part:
    """Ours and those that a Python has."""
    found: dict[str, Answers | str] = {}
    for name, measured in (("ours", ours), ("MLflow", mlflow), ("TensorBoard", tensorboard)):
        with TemporaryDirectory(prefix="bench-service-") as folder:
            try:
                if name != "ours":
                    check_installed(python, name)
                found[name] = measured(scale, python, Path(folder))
            except LookupError as absent:
                found[name] = str(absent)
    marks = []
    for name in ("MLflow", "TensorBoard"):
        for what, member in (("list", "listed"), ("first chart", "first"), ("memory idle", "idle")):
            its, own = (getattr(found[one], member, None) for one in (name, "ours"))
            ratio = its / own if its and own else None
            marks.append(Mark(f"{what}: {name}'s, beside ours", ratio, at_least=1))
    rows = [[name, *cells(each)] for name, each in found.items()]
    header = ["", f"list of {scale.runs[0]:,} runs", f"first chart of {scale.rows:,} rows",
              "again", "row written until served", "MB idle", "MB after"]  # fmt: skip
    return Part(marks, "Other servers over the same runs: milliseconds, p95", header, rows)


def cells(found: Answers | str) -> list[str]:
    """A row of the table; why there is none, where a server is missing."""
    if isinstance(found, str):
        return [found, *[""] * 5]
    times = [f"{1e3 * seconds:,.1f}" for seconds in found[:4]]
    return [*times, *(f"{size:.0f}" for size in found[4:])]


def check_installed(python: str, name: str) -> None:
    """Whether a Python has a server.

    Raises:
        LookupError: that says plainly that it has not.
    """
    words = [python, "-c", f"import {name.lower()}"]
    try:
        done = subprocess.run(words, capture_output=True)
    except OSError as error:
        raise LookupError(f"not measured: {python}: {error.strerror}") from None
    if done.returncode:
        raise LookupError(f"not measured: {name} is not installed in {Path(python).name}")


def measure(asked: Questions, times: int, process: int) -> Answers:
    """Asks a server that has read everything."""
    time.sleep(SETTLED_SECONDS)
    idle = resident_in_all(process)
    asked.listed(0)  # what is read or imported for the first answer is no one's pace
    listed = paces(times, asked.listed).high
    first = asked.chart(0)[0]
    again = paces(times, asked.chart).high
    written = paces(min(times, ROWS_WRITTEN), asked.write).high
    return Answers(listed, first, again, written, idle, resident_in_all(process))


def ours(scale: ServiceScale, _: str, folder: Path) -> Answers:
    """The server of this checkout, which has read the long run once, as the others' stores have."""
    root, state = folder / "runs", folder / "state"
    make_runs(root, scale.runs[0])
    file = make_long_run(root / "long", scale.rows)
    with serving(root, state) as served:
        [run] = ids(served.client, scale.runs[0] + 1, "long")
        wait_until_exact(served.client, run)
    with serving(root, state) as served:
        client = served.client
        ids(client, scale.runs[0] + 1, "long")
        with rows_told(client, file, run) as write:
            questions = Questions(
                lambda _: client.ask(f"{API}/runs?limit=10000"),
                lambda _: client.ask(question(run)),
                write,
            )
            return measure(questions, scale.times, served.process.pid)


def mlflow(scale: ServiceScale, python: str, folder: Path) -> Answers:
    """MLflow's, with one worker where it would start four, on SQLite."""
    made = loaded("mlflow", scale, python, folder)
    store = f"sqlite:///{folder / 'mlflow.sqlite3'}"
    words = ["mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
    api, own = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"
    search = {"experiment_ids": [made["experiment"]], "max_results": scale.runs[0] + 1}
    chart = (f"{own}/metrics/get-history-bulk-interval?run_ids={made['run']}&metric_key=loss"
             "&max_results=2000")  # fmt: skip
    with started(python, words, folder) as (client, process):
        wait(lambda: answers(client, f"{api}/experiments/get?experiment_id={made['experiment']}"))

        def write(number: int) -> tuple[float, bytes]:
            step = 10**9 + number
            begin = time.perf_counter()
            row = {"run_id": made["run"], "key": "loss", "value": 0.5, "step": step,
                   "timestamp": int(1e3 * time.time())}  # fmt: skip
            client.ask(f"{api}/runs/log-metric", row)
            while str(step).encode() not in (content := client.ask(chart)[1]):
                pass
            return time.perf_counter() - begin, content

        questions = Questions(
            lambda _: client.ask(f"{api}/runs/search", search), lambda _: client.ask(chart), write
        )
        return measure(questions, scale.times, process)


def tensorboard(scale: ServiceScale, python: str, folder: Path) -> Answers:
    """TensorBoard's, which keeps a thousand rows of a series and reads files each five seconds."""
    made = loaded("tensorboard", scale, python, folder)
    words = ["tensorboard.main", "--logdir", str(folder / "events")]
    tags, chart = "/data/plugin/scalars/tags", "/data/plugin/scalars/scalars?run=long&tag=loss"
    with started(python, words, folder) as (client, process):
        wait(lambda: answers(client, "/data/runs"), 0.2)
        wait(lambda: len(client.json(tags)) == scale.runs[0] + 1, 0.2)
        wait(lambda: client.json(chart)[-1][1] == scale.rows - 1, 0.2)

        def listed(_: int) -> tuple[float, bytes]:
            found = [client.ask(path) for path in ("/data/runs", tags)]
            return sum(seconds for seconds, _ in found), b"".join(text for _, text in found)

        def write(number: int) -> tuple[float, bytes]:
            step = 10**9 + number
            subprocess.run([python, LOAD, "add", made["file"], str(step)], check=True)
            begin = time.perf_counter()
            while client.json(chart)[-1][1] != step:
                time.sleep(0.01)
            return time.perf_counter() - begin, b""

        questions = Questions(listed, lambda _: client.ask(chart), write)
        return measure(questions, scale.times, process)


def loaded(name: str, scale: ServiceScale, python: str, folder: Path) -> dict[str, str]:
    """Has a Python write the runs into a store of its own."""
    words = [python, LOAD, name, str(folder), str(scale.runs[0]), str(scale.rows)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    made: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return made


def answers(client: Client, path: str) -> bool:
    """Whether a server answers by now."""
    try:
        client.ask(path)
    except (OSError, RuntimeError):
        client.leave()
        return False
    return True


@contextmanager
def started(python: str, words: Sequence[str], folder: Path) -> Iterator[tuple[Client, int]]:
    """A server within the block: a client of it, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [python, "-m", *words, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        client = Client(port)
        yield client, process.pid
        client.leave()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
