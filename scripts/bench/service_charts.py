"""Charts of long runs: first looks, from what is kept, closer, and as rows are written."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from part import Mark, Part
from service_lists import API
from service_runs import make_long_run, make_run, make_runs, row
from service_scale import ServiceScale, cells, mark
from service_server import Client, paces, serving, wait

FILES = 5
"""How many long runs are looked at for the first time."""


def charts(scale: ServiceScale) -> Part:
    """Some runs with the same many rows, and one that takes long to read."""
    with TemporaryDirectory(prefix="bench-service-") as folder:
        root, state = Path(folder) / "runs", Path(folder) / "state"
        file = make_long_run(root / "long-0", scale.rows)
        for number in range(1, FILES):
            os.link(file, make_run(root / f"long-{number}", number, scale.rows))
        first = list[tuple[float, bytes]]()
        with serving(root, state) as served, looked_at(served.client):
            client = served.client
            for run in ids(client, FILES):
                first.append(client.ask(question(run)))
                wait_until_exact(client, run)
        with serving(root, state) as served, looked_at(served.client):
            client = served.client
            runs = ids(client, FILES)
            kept = [client.ask(question(run)) for run in runs]
            again = paces(scale.times, lambda _: client.ask(question(runs[0])))
            width = scale.rows // 10
            zoomed = paces(scale.times, lambda n: client.ask(
                question(runs[0], n * 977 % (9 * width), width)))  # fmt: skip
            file.unlink()  # it is written on, and the others have its rows as well
            file.write_text("".join(row(step, 0.5) for step in range(1000)))
            with rows_told(client, file, runs[0]) as write:
                waits = paces(scale.times, write)
    is_exact = not json.loads(first[0][1])["approximate"]
    never = f"never read{' (exact: it is short)' if is_exact else ', approximate'}"
    rows = [
        cells(f"first chart of {scale.rows:,} rows, {never}", paces(FILES, first.__getitem__)),
        cells(
            f"first chart of {scale.rows:,} rows, from the cache", paces(FILES, kept.__getitem__)
        ),
        cells(f"chart of all {scale.rows:,} rows again", again),
        cells("chart of a tenth of them, another each time", zoomed),
        cells("row written until a stream has told of it", waits),
    ]
    marks = [
        mark(f"first chart of {scale.rows:,} rows, {never}, the slowest of {FILES}",
             max(first)[0], 150),
        mark(f"first chart of {scale.rows:,} rows, from the cache, the slowest of {FILES}",
             max(kept)[0], 100),
        mark("zoom into a tenth of them, p95", zoomed.high, 80),
        mark("row written until a stream has told of it, p95", waits.high, 500),
        *many_rows(scale),
    ]  # fmt: skip
    return Part(marks, "Charts: milliseconds", ["", "median", "p95", "kB"], rows)


def many_rows(scale: ServiceScale) -> list[Mark]:
    """A file that takes long to read, and what others wait for meanwhile."""
    with TemporaryDirectory(prefix="bench-service-") as folder:
        root = Path(folder) / "runs"
        make_runs(root, scale.runs[0])
        make_long_run(root / "long", scale.many_rows)
        with serving(root, Path(folder) / "state") as served, looked_at(served.client):
            client = served.client
            [run] = ids(client, scale.runs[0] + 1, "long")
            first, _ = client.ask(question(run))
            meanwhile = [client.ask(f"{API}/runs?limit=100")[0]]
            while is_approximate(client, run):
                meanwhile.append(client.ask(f"{API}/runs?limit=100")[0])
                time.sleep(0.02)
    high = float(np.percentile(meanwhile, 95))
    count = f"{scale.many_rows:,}"
    return [
        mark(f"first chart of {count} rows, never read", first, 200),
        mark(f"list of 100 runs while these are read, p95 of {len(meanwhile)}", high, 100),
    ]


@contextmanager
def looked_at(client: Client) -> Iterator[None]:
    """A stream as a page opens it, some seconds before it comes to charts."""
    own = Client(client.port, client.token)
    answer = own.stream(f"{API}/events?topics=runs")
    time.sleep(2.5)
    yield
    answer.close()
    own.leave()


def ids(client: Client, count: int, name: str = "") -> list[str]:
    """The ids of runs, in the order of their names, once that many are listed."""
    path = f"{API}/runs?limit=10000&sort=name"
    wait(lambda: client.json(path)["total"] >= count, 0.05)
    return [run["id"] for run in client.json(path)["runs"] if name in ("", run["name"])]


def question(run: str, first: int = 0, width: int = 0) -> str:
    """Where a chart of a page asks."""
    window = f"&from={first}&to={first + width}" if width else ""
    return f"{API}/runs/{run}/rows?names=loss&points=2000{window}"


def is_approximate(client: Client, run: str) -> bool:
    """Whether a file is not read to its end yet."""
    return bool(client.json(question(run))["approximate"])


def wait_until_exact(client: Client, run: str) -> None:
    """Waits until a file is read to its end."""
    wait(lambda: not is_approximate(client, run), 0.05)


@contextmanager
def rows_told(
    client: Client, file: Path, run: str
) -> Iterator[Callable[[int], tuple[float, bytes]]]:
    """A function that writes a row, and gives the seconds until a stream has told of it."""
    own = Client(client.port, client.token)
    answer = own.stream(f"{API}/events?topics=rows:{run}")

    def write(number: int) -> tuple[float, bytes]:
        time.sleep(0.37 + number % 7 / 50)  # at any time between two looks at the file
        begin = time.perf_counter()
        with file.open("a") as opened:
            opened.write(row(10**9 + number, 0.1))
        while not ((line := answer.readline()).startswith(b"data:") and b'"series"' in line):
            pass
        return time.perf_counter() - begin, line

    yield write
    answer.close()
    own.leave()
