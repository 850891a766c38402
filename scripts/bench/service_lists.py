"""What a page waits for before any chart: a server that idles, lists of runs, and previews."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from part import Mark, Part
from service_runs import make_runs
from service_scale import ServiceScale, cells, mark
from service_server import Client, Paces, paces, resident, serving, wait

API = "/api/v1"
JOB = ["data=digits", "model=mlp", "schedule=cosine", "run.length=1000000"]
LIST_MS = (30, 150)
"""How long the smaller and the larger list may take."""


def lists(scale: ServiceScale) -> Part:
    """Two roots, each served twice: with no index, and with that of the server before."""
    marks, rows = [], []
    for count, at_most in zip(scale.runs, LIST_MS, strict=True):
        with TemporaryDirectory(prefix="bench-service-") as folder:
            root, state = Path(folder) / "runs", Path(folder) / "state"
            make_runs(root, count)
            with serving(root, state) as served:
                read = complete(served.client)
            with serving(root, state) as served:
                client, process = served.client, served.process.pid
                complete(client)
                idle = resident(process)
                found = whole_lists(client, scale.times)
                rows.append(cells(f"list of {count:,} runs", found))
                marks.append(mark(f"list of {count:,} runs, p95", found.high, at_most))
                found = filtered_lists(client, scale.times)
                rows.append(cells(f"the first 100 of {count:,}, filtered, by their loss", found))
                if count == scale.runs[0]:
                    what = f"memory with {count:,} runs, when idle"
                    marks.append(Mark(what, idle, at_most=100, form="{:.1f} MB"))
                    found = previews(client, scale.times)
                    what = "keystroke to exact curve of 1e6 updates"
                    rows.append(cells(what, found))
                    marks.append(mark(f"{what}, p95", found.high, 60))
                started, last = served.seconds, resident(process)
        rows += [
            [f"start until it listens, {count:,} runs", f"{1e3 * started:.0f}", "", ""],
            [f"then until {count:,} folders are read, no index", f"{1e3 * read:.0f}", "", ""],
            [f"MB resident after all this, {count:,} runs", f"{last:.1f}", "", ""],
        ]
    return Part(marks, "The list and previews: milliseconds", ["", "median", "p95", "kB"], rows)


def complete(client: Client) -> float:
    """The seconds until all folders were looked at."""
    return wait(lambda: client.json(f"{API}/health")["complete"])


def whole_lists(client: Client, times: int) -> Paces:
    """All runs at once."""
    return paces(times, lambda _: client.ask(f"{API}/runs?limit=10000"))


def filtered_lists(client: Client, times: int) -> Paces:
    """Words that no list was asked for before, so that nothing of it is remembered."""
    path = f"{API}/runs?limit=100&sort=metrics.loss"
    return paces(times, lambda n: client.ask(f"{path}&q={n % 10}+{n // 10}"))


def previews(client: Client, times: int) -> Paces:
    """A config is typed on, each time with a height that nobody has asked for."""
    path = f"{API}/preview"
    client.ask(path, {"overrides": JOB})  # a worker starts with the first one
    heights = [f"schedule.initial_value={1 + n}e-3" for n in range(times)]
    return paces(times, lambda n: client.ask(path, {"overrides": [*JOB, heights[n]]}))
