"""How quickly the service answers a page, with many runs and with a long one.

    python scripts/bench/service.py --runs 1000 --rows 1000000

Makes folders of runs in a temporary folder, starts `python -m trainer.serve` on them as a process
of its own, and prints the median and the 95th percentile of what a page waits for. Nothing trains
meanwhile; times are those of this machine, with the client beside the server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
CONFIG = (
    "run: {{length: {length}, seed: {seed}}}\nschedule: {{kind: cosine, initial_value: {rate}}}\n"
)
JOB = ["data=digits", "model=mlp", "schedule=cosine", "run.length=1000000"]


class Client:
    """One connection to the server."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, path: str, body: Any = None) -> tuple[float, bytes]:
        """The seconds until the whole answer was there, and the answer."""
        begin = time.perf_counter()
        method = "GET" if body is None else "POST"
        text = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1{path}", text, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:300]!r}")
        return time.perf_counter() - begin, content


def main() -> None:
    """Measures twice: with no index, and with that of the server before."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="short runs in the list")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the long run")
    parser.add_argument("--times", type=int, default=30, help="how often each is asked")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-service-") as folder:
        root = Path(folder) / "runs"
        make_runs(root, options.runs)
        make_long_run(root / "long", options.rows)
        for state in ("cold", "warm"):
            with serving(root, Path(folder) / "state") as (client, process, seconds):
                print(f"{f'start, {state} index':44} {1e3 * seconds:9.0f} ms")
                complete = wait(lambda: json.loads(client.ask("/health")[1])["complete"])
                print(f"{f'all folders read, {state} index':44} {1e3 * complete:9.0f} ms")
                if state == "warm":
                    measure(client, process, root, options)


def measure(
    client: Client, process: subprocess.Popen[str], root: Path, options: argparse.Namespace
) -> None:
    """Asks for what a page asks for, and prints what it took."""
    memory("memory when idle", process)
    listed = json.loads(client.ask("/runs?limit=10000")[1])["runs"]
    [long] = [run["id"] for run in listed if run["name"] == "long"]
    table(f"list of {len(listed)} runs", options.times, lambda _: client.ask("/runs?limit=10000"))
    table("list, sorted by a metric, of 100", options.times,
          lambda n: client.ask(f"/runs?limit=100&sort=metrics.loss&q={n}"))  # fmt: skip
    rows = f"/runs/{long}/rows?names=loss&points=2000"
    seconds, content = client.ask(rows)
    answer = json.loads(content)
    print(f"{'first chart, never read':44} {1e3 * seconds:9.1f} ms  "
          f"approximate: {answer['approximate']}")  # fmt: skip
    slowest = 0.0
    begin = time.perf_counter()
    while json.loads(client.ask(rows)[1])["approximate"]:
        slowest = max(slowest, client.ask("/runs?limit=100")[0])
    print(f"{'read to the end':44} {time.perf_counter() - begin:9.1f} s")
    print(f"{'slowest list of 100 meanwhile':44} {1e3 * slowest:9.1f} ms")
    table("chart of all rows", options.times, lambda _: client.ask(rows))
    width = options.rows // 10
    table("chart of a window", options.times, lambda n: client.ask(
        f"{rows}&from={n * 977 % (9 * width)}&to={n * 977 % (9 * width) + width}"))  # fmt: skip
    body = {"overrides": JOB}
    client.ask("/preview", body)
    heights = [f"schedule.initial_value={1 + n}e-3" for n in range(options.times)]
    table("preview of 1e6 steps", options.times,
          lambda n: client.ask("/preview", {"overrides": [*JOB, heights[n]]}))  # fmt: skip
    table("row written to event", options.times, row_to_event(client, root, long))
    memory("memory at the end", process)


def row_to_event(client: Client, root: Path, run: str) -> Callable[[int], tuple[float, bytes]]:
    """Writes a row, and gives the seconds until a stream has told of it."""
    stream = Client(client._connection.port, client._headers["Authorization"].split()[1])
    stream._connection.request("GET", f"/api/v1/events?topics=rows:{run}", headers=stream._headers)
    answer = stream._connection.getresponse()
    while answer.readline().strip():
        pass
    file = root / "long/metrics.jsonl"

    def write(number: int) -> tuple[float, bytes]:
        time.sleep(0.37 + number % 7 / 50)
        begin = time.perf_counter()
        with file.open("a") as opened:
            opened.write(row(10**9 + number, 0.1))
        while not (line := answer.readline()).startswith(b"data:"):
            pass
        return time.perf_counter() - begin, line

    return write


def table(name: str, times: int, ask: Callable[[int], tuple[float, bytes]]) -> None:
    """Prints the median and the 95th percentile of so many answers, and their size."""
    answers = [ask(number) for number in range(times)]
    median, high = np.percentile([seconds for seconds, _ in answers], [50, 95]) * 1e3
    size = max(len(content) for _, content in answers) / 1e3
    print(f"{name:44} {median:9.1f} ms {high:9.1f} ms p95 {size:9.1f} kB")


def memory(name: str, process: subprocess.Popen[str]) -> None:
    """Prints what a process has resident."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    print(f"{name:44} {pages * os.sysconf('SC_PAGE_SIZE') / 1e6:9.1f} MB")


def wait(condition: Callable[[], bool]) -> float:
    """The seconds until a condition holds."""
    begin = time.perf_counter()
    while not condition():
        time.sleep(0.005)
    return time.perf_counter() - begin


def row(step: int, loss: float) -> str:
    """A line as the trainer writes it."""
    return json.dumps({"step": step, "epoch": step / 100, "loss": loss, "learning_rate": 0.01,
                       "momentum": 0.9, "updates_per_second": 14600.123 + loss}) + "\n"  # fmt: skip


def make_runs(root: Path, count: int) -> None:
    """Folders of runs that have ended, two hundred rows each, in sweeps of a hundred."""
    for number in range(count):
        folder = root / f"sweep-{number // 100}" / str(number % 100)
        folder.mkdir(parents=True)
        config = CONFIG.format(length=200, seed=number, rate=0.01 + number % 10 / 100)
        (folder / "config.yaml").write_text(config)
        (folder / ".lock").write_text("process 1 on elsewhere\n")
        lines = [row(step, (number + 1) / (step + 1)) for step in range(200)]
        (folder / "metrics.jsonl").write_text("".join(lines))
        (folder / "result.json").write_text(json.dumps({"status": "done", "steps": 200}))
    for sweep in root.glob("sweep-*"):
        names = {path.name: path.name for path in sweep.iterdir()}
        (sweep / "sweep.json").write_text(json.dumps(names))


def make_long_run(folder: Path, count: int) -> None:
    """A folder with as many rows as are asked for."""
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG.format(length=count, seed=1, rate=0.5))
    random = np.random.default_rng(0)
    with (folder / "metrics.jsonl").open("w") as file:
        for begin in range(0, count, 10_000):
            losses = random.random(min(10_000, count - begin)).tolist()
            file.writelines(row(begin + n, loss) for n, loss in enumerate(losses))


@contextmanager
def serving(root: Path, state: Path) -> Iterator[tuple[Client, subprocess.Popen[str], float]]:
    """A client of a server of its own, its process, and how long it took to listen."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(state)}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.serve", str(root), "--port", "0"],
        cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
        port = int(line.rpartition("127.0.0.1:")[2].partition("/")[0])
        token = (state / "scheduled-training/token").read_text().strip()
        yield Client(port, token), process, seconds
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(state / "scheduled-training/rows", ignore_errors=True)


if __name__ == "__main__":
    main()
