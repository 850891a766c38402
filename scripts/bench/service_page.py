"""What somebody at a browser waits for: the page, and a row until it is drawn."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from part import Mark, Part
from service_charts import ids
from service_lists import API, complete
from service_runs import make_run, make_runs, row
from service_scale import ServiceScale, mark
from service_server import Serving, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or ""
LISTED = "() => document.querySelector('tbody tr:not([aria-hidden])') && performance.now()"
"""The milliseconds since the page was asked for, once the list has a row."""
NOTES = "[...document.querySelectorAll('figcaption .note')].map((one) => one.textContent).join()"
"""What the charts say of how many rows they draw: it changes with them."""
WARM = 2
"""How many pages are opened before it counts: a browser too starts slowly."""


def page(scale: ServiceScale) -> Part:
    """The list's first load, with nothing kept by the browser; and a run that is written on."""
    title = f"In a browser, {scale.runs[0]:,} runs: milliseconds"
    if not CHROMIUM:
        missing = "not measured: no Chromium, which `bash scripts/browser` installs"
        return Part(marks(scale, None, [], []), title, ["", ""], [[missing, ""]])
    from tests.helpers.browser import chromium  # which needs Playwright

    with TemporaryDirectory(prefix="bench-service-") as folder:
        root = Path(folder) / "runs"
        make_runs(root, scale.runs[0])
        file = make_run(root / "growing", 1, 10**6)
        file.write_text("".join(row(step, 0.5) for step in range(1000)))
        with serving(root, Path(folder) / "state") as served, chromium() as opened:
            [run] = ids(served.client, scale.runs[0] + 1, "growing")
            complete(served.client)
            loads = [first_load(served, opened) for _ in range(scale.times + WARM)][WARM:]
            drawn = rows_drawn(served, opened, file, run, scale.times)
    usable = [milliseconds for milliseconds, _ in loads]
    rows = [
        [what, *(f"{value:.0f}" for value in np.percentile(found, [50, 95]))]
        for what, found in (("first load until the list has rows", usable),
                            ("row written until a chart has it", drawn))
    ]  # fmt: skip
    return Part(marks(scale, loads[0][1], usable, drawn), title, ["", "median", "p95"], rows)


def marks(
    scale: ServiceScale, size: int | None, usable: list[float], drawn: list[float]
) -> list[Mark]:
    """All of them, measured or not."""
    usable_at, drawn_at = (
        float(np.percentile(found, 95)) / 1e3 if found else None for found in (usable, drawn)
    )
    kilobytes = None if size is None else size / 1e3
    return [
        Mark("page, all files of its first load", kilobytes, at_most=200, form="{:.1f} kB"),
        mark(f"first load until the list of {scale.runs[0]:,} runs has rows, p95", usable_at, 300),
        mark("row written until a chart has it, p95", drawn_at, 500),
    ]


@contextmanager
def let_in(served: Serving, opened: Browser) -> Iterator[Page]:
    """An empty page of a browser that keeps nothing of ours but what lets it in."""
    path = served.client.json(f"{API}/links", {})["path"]
    context = opened.new_context()
    context.request.get(f"http://127.0.0.1:{served.client.port}{path}")
    try:
        yield context.new_page()
    finally:
        context.close()


def first_load(served: Serving, opened: Browser) -> tuple[float, int]:
    """The milliseconds until the list has rows, and the bytes of the page's own files."""
    with let_in(served, opened) as found:
        answers: list[Any] = []
        found.on("response", lambda answer: answers.append(answer))
        found.goto(f"http://127.0.0.1:{served.client.port}/")
        milliseconds = float(found.wait_for_function(LISTED, polling="raf").json_value())
        files = [answer for answer in answers if "/api/" not in answer.url and answer.ok]
        return milliseconds, sum(len(answer.body()) for answer in files)


def rows_drawn(served: Serving, opened: Browser, file: Path, run: str, times: int) -> list[float]:
    """The milliseconds of each row until the charts of a run's page have changed."""
    found = []
    with let_in(served, opened) as shown:
        shown.goto(f"http://127.0.0.1:{served.client.port}/#/run/{run}")
        shown.wait_for_function(f"() => {NOTES}.includes('1,000')")
        for number in range(times):
            time.sleep(0.6 + number % 7 / 50)  # at any time between two looks at the file
            before = shown.evaluate(f"() => {NOTES}")
            begin = time.perf_counter()
            with file.open("a") as written:
                written.write(row(1000 + number, 0.1))
            shown.wait_for_function(f"(before) => {NOTES} !== before", arg=before, polling="raf")
            found.append(1e3 * (time.perf_counter() - begin))
    return found
