"""A service that listens on a free port of loopback, in a thread of this process, and its runs."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from trainer.runs.folder import Folder
from trainer.runs.mailbox import Letter, Mailbox
from trainer.service.api.application import application
from trainer.service.exposure import Exposure
from trainer.service.permissions import Permissions
from trainer.service.running_service import RunningService
from trainer.service.server import Server, listen_on_port
from trainer.service.tokens import Tokens

TOKEN = "the-token-of-tests-0123456789"
CONFIG = "run: {length: 100, seed: 1}\nschedule: {kind: cosine}\ndata: {batch_size: 4}\n"
WHOLE_CONFIG = """\
run: {length: %d, seed: %d}
schedule: {kind: cosine, initial_value: 0.5}
optimizer: {kind: momentum, momentum: 0.9}
model: {kind: mlp}
data: {kind: digits, batch_size: 64}
device: {kind: auto}
"""
"""What could train, with places for its length and its seed."""


def rows(count: int, first: int = 0, **columns: Callable[[int], float | None]) -> str:
    """Lines of updates, with a loss of `1 / (step + 1)` unless it is given."""
    columns = {"loss": lambda step: 1 / (step + 1), **columns}
    return "".join(
        json.dumps({"step": step, "epoch": step / 10,
                    **{name: value(step) for name, value in columns.items()},
                    "updates_per_second": 100.0 + step}) + "\n"
        for step in range(first, first + count)
    )  # fmt: skip


def make_run(
    path: Path, lines: str = "", status: str | None = "done", config: str = CONFIG
) -> Path:
    """The folder of a run that has written these rows, and has ended unless the status is None."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(f"{config}# {path}\n")  # else it is a copy of another
    (path / ".lock").write_text(f"process 1 on {socket.gethostname()}\n")
    (path / "metrics.jsonl").write_text(lines)
    if status:
        steps = lines.count("\n")
        (path / "result.json").write_text(json.dumps({"status": status, "steps": steps}))
    return path


class Served:
    """A running service, and a client that it admits."""

    def __init__(self, service: RunningService, server: Server, port: int) -> None:
        self.service = service
        self._server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=30)
        self.stranger = httpx.Client(base_url=self.url, timeout=30)
        """A client that has no token."""

    def end(self) -> None:
        """Asks the server to end, as a signal does."""
        self._server.should_exit = True

    def get(self, path: str, **parameters: Any) -> Any:
        """The body of an answer that is none of an error."""
        found = self.client.get(path, params=parameters)
        assert found.status_code == 200, found.text
        return found.json()

    def ids(self) -> dict[str, str]:
        """The ids of all runs by their names, once all folders were read."""
        self.wait(lambda: self.get("/runs")["complete"])
        return {run["name"]: run["id"] for run in self.get("/runs", limit=10_000)["runs"]}

    def wait(self, condition: Callable[[], Any], seconds: float = 20) -> Any:
        """What the condition gives, once that is true."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return found

    @contextmanager
    def events(self, topics: str, **headers: str) -> Iterator[Iterator[tuple[str, Any, str]]]:
        """The name, data and id of each event of a stream."""
        with self.client.stream(
            "GET", "/events", params={"topics": topics}, headers=headers
        ) as answer:
            assert answer.status_code == 200
            yield _events(answer.iter_lines())


def _events(lines: Iterable[str]) -> Iterator[tuple[str, Any, str]]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], json.loads(fields["data"]), fields.get("id", "")
            fields = {}


@contextmanager
def served(
    root: Path,
    state: Path,
    hosts: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
    port: int = 0,
    exposure: Exposure | None = None,
) -> Iterator[Served]:
    """A service of a root within the block; encrypted where the exposure has a certificate."""
    state.mkdir(exist_ok=True)
    listener = listen_on_port(port)
    port = listener.getsockname()[1]
    permissions = Permissions(folders=(root,), **(options or {}))
    service = RunningService(root, state, Tokens(TOKEN, port), permissions)
    listening = threading.Event()
    exposure = exposure or Exposure(names=tuple(hosts))
    app = application(service, exposure)
    server = Server(service, app, listening.set, exposure.tls())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert listening.wait(30)
        found = Served(service, server, port)
        with found.client, found.stranger:
            yield found
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


Answer = Callable[[Letter], dict[str, Any]]


def obeyed(letter: Letter) -> dict[str, Any]:
    return {"step": 7, "told": [f"did {order}" for order in letter.orders]}


@contextmanager
def training(path: Path, answer: Answer = obeyed) -> Iterator[list[Letter]]:
    """A process, so to say, that trains in a folder and answers letters; gives what it was sent."""
    taken: list[Letter] = []
    ended = threading.Event()

    def obey() -> None:
        while not ended.wait(0.01):
            for letter in mailbox.take():
                taken.append(letter)
                mailbox.answer(letter, answer(letter))

    with Folder(path).locked():
        mailbox = Mailbox(path)
        mailbox.open()
        thread = threading.Thread(target=obey)
        thread.start()
        try:
            yield taken
        finally:
            ended.set()
            thread.join()
