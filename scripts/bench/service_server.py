"""A server as a process of its own, one connection to it, and what the process takes."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
SERVE = ("-m", "trainer.serve")
PATIENCE_SECONDS = 600.0
IDLE_SECONDS = 1.0
"""After how long without a request the server may have closed the connection."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


class Client:
    """One connection to a server of HTTP."""

    def __init__(self, port: int, token: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self.port = port
        self.token = token
        self._used = 0.0
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, path: str, body: Any = None) -> tuple[float, bytes]:
        """The seconds until the whole answer was there, and the answer.

        Raises:
            RuntimeError: when it is the answer to something that went wrong.
        """
        begin = time.perf_counter()
        answer = self._answer(path, body)
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {content[:300]!r}")
        return time.perf_counter() - begin, content

    def json(self, path: str, body: Any = None) -> Any:
        """What an answer holds."""
        return json.loads(self.ask(path, body)[1])

    def stream(self, path: str) -> http.client.HTTPResponse:
        """An answer that has no end, from behind its first event on."""
        answer = self._answer(path, None)
        while answer.readline().strip():
            pass
        return answer

    def leave(self) -> None:
        """Closes the connection; the next request opens another."""
        self._connection.close()

    def _answer(self, path: str, body: Any) -> http.client.HTTPResponse:
        text = None if body is None else json.dumps(body)
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.leave()
        self._used = time.monotonic()
        self._connection.request("GET" if body is None else "POST", path, text, self._headers)
        return self._connection.getresponse()


class Serving(NamedTuple):
    """A server of this checkout."""

    client: Client
    process: subprocess.Popen[str]
    seconds: float
    """How long it took to listen."""


class Paces(NamedTuple):
    """How long the same kind of question took."""

    median: float
    high: float
    """The 95th percentile."""
    size: int
    """The bytes of the longest answer."""


def paces(times: int, ask: Callable[[int], tuple[float, bytes]]) -> Paces:
    """Asks so often; each time with its number."""
    answers = [ask(number) for number in range(times)]
    median, high = np.percentile([seconds for seconds, _ in answers], [50, 95])
    return Paces(float(median), float(high), max(len(content) for _, content in answers))


def resident(process: int) -> float:
    """What a process has resident, in megabytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6


def resident_in_all(process: int) -> float:
    """The same of it and of all that it has started; what they share counts once."""
    found = [process]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    shares = (re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)
              for one in found)  # fmt: skip
    return sum(1024 * int(share[1]) for share in shares if share) / 1e6


def at_work(process: int) -> float:
    """The processor seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


def wait(condition: Callable[[], object], pause: float = 0.005) -> float:
    """The seconds until a condition holds.

    Raises:
        TimeoutError: when it takes too long.
    """
    begin = time.perf_counter()
    while not condition():
        if time.perf_counter() - begin > PATIENCE_SECONDS:
            raise TimeoutError("what was waited for has not come")
        time.sleep(pause)
    return time.perf_counter() - begin


@contextmanager
def serving(root: Path, state: Path, program: Sequence[str] = SERVE) -> Iterator[Serving]:
    """A server of a root within the block."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(state)}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *program, str(root), "--port", "0"],
        cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
        port = int(line.rpartition("127.0.0.1:")[2].partition("/")[0])
        token = (state / "scheduled-training/token").read_text().strip()
        client = Client(port, token)
        yield Serving(client, process, seconds)
        client.leave()
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()
