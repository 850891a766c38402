"""What was submitted to a queue whose jobs are stand-ins."""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from tests.helpers import stand_in
from tests.helpers.served import Served
from trainer.runs.run_folders import QUEUE
from trainer.runs.submission import Submission
from trainer.service.jobs import submitting
from trainer.service.jobs.engines.engine import Engine, Handle, Needs, Word
from trainer.service.jobs.launcher import Launcher
from trainer.service.jobs.settings import Settings, write_settings
from trainer.service.jobs.submitted_folders import SubmittedFolders

JOB = ("data=digits", "model=mlp")


def laid(root: Path, *names: str) -> list[str]:
    """Puts jobs into the queue of a root that no server serves, to run one at a time."""
    runs = []
    (root / QUEUE).mkdir(mode=0o700, exist_ok=True)
    write_settings(root, Settings(at_once=1))
    for number, name in enumerate(names):
        request = submitting.Request(
            f"{number:032}", "", name, [], 0, None, None, "local", str(root)
        )
        folder = SubmittedFolders(root).of(f"{number:016}-")
        job = {"overrides": [], "arguments": [f"hydra.run.dir='{folder}'"], "folder": ""}
        planned = {"sweep": False, "search": False, "jobs": [job]}
        made = submitting.make(root, folder, request, planned, [float(number)])
        runs += [submission.id for _, submission in made.runs]
    return runs


@contextmanager
def stand_ins() -> Iterator[None]:
    """Jobs are processes that train nothing: a run's name says how many rows, and how slowly."""

    def command(_: Launcher, submission: Submission) -> list[str]:
        [path] = [one for one in submission.arguments if one.startswith("hydra.run.dir=")]
        folder = path.partition("=")[2].strip("'")
        return [sys.executable, "-S", stand_in.__file__, folder,
                *submission.name.partition("/")[0].split()]  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Launcher, "command", command)
        yield


class NoCheck:
    """Takes any overrides for those of one run: what Hydra makes of them is for other tests."""

    async def answer(self, asked: Mapping[str, Any], _: object) -> dict[str, Any]:
        submission = asked["submission"]
        arguments = [*submission["overrides"], f"hydra.run.dir='{submission['folder']}'"]
        job = {"overrides": submission["overrides"], "arguments": arguments, "folder": "",
               "total_steps": 1}  # fmt: skip
        return {"problems": [], "sweep": False, "search": False, "command": "", "jobs": [job]}


class Queued:
    """Requests to the queue of a service."""

    def __init__(self, service: Served) -> None:
        self.service = service

    def post(
        self, name: str = "3 0", overrides: Sequence[str] = (), key: str = "", **more: Any
    ) -> httpx.Response:
        """Submits a job that writes as many rows, each after as many seconds, as its name says."""
        body = {"overrides": [*JOB, *overrides], "name": name, **more}
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.service.client.post("/runs", json=body, headers=headers)

    def submit(self, name: str = "3 0", *overrides: str, key: str = "", **more: Any) -> list[str]:
        """The ids of what was submitted."""
        answer = self.post(name, overrides, key, **more)
        assert answer.status_code == 201, answer.text
        return [run["id"] for run in answer.json()["runs"]]

    def path(self, run: str) -> Path:
        return self.service.service.path(run)

    def states(self) -> dict[str, str]:
        """The states of what waits and what runs, in the order of the queue."""
        return {one["id"]: one["state"] for one in self.service.get("/queue")["entries"]}

    def why(self, run: str) -> str:
        found = {one["id"]: one["why"] for one in self.service.get("/queue")["entries"]}
        return str(found.get(run, ""))

    def until(self, run: str, *states: str) -> str:
        """Waits until a run has one of some states."""
        return str(self.service.wait(lambda: (found := self.state(run)) in states and found))

    def state(self, run: str) -> str:
        return self.states().get(run) or str(self.service.get(f"/runs/{run}")["status"])

    def ended(self, *runs: str) -> dict[str, Any]:
        """The result of a run, once it and others have left the queue."""
        self.service.wait(lambda: not self.states().keys() & set(runs))
        found: dict[str, Any] = json.loads((self.path(runs[0]) / "result.json").read_text())
        return found

    def let_go(self, run: str) -> None:
        """Has a job of `inf` seconds end."""
        (self.path(run) / stand_in.LET_GO).touch()

    def kill(self, run: str) -> None:
        """Kills the process of a run once it has written all rows but the last."""
        rows = self.path(run) / "metrics.jsonl"
        self.service.wait(lambda: rows.exists() and rows.read_bytes().count(b"\n") >= 2)
        os.kill(self.starts(run)[-1], signal.SIGKILL)

    def starts(self, run: str) -> list[int]:
        """The numbers of the processes that were started for a run."""
        log = self.path(run) / stand_in.STARTS
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def change(self, run: str, **changes: Any) -> httpx.Response:
        return self.service.client.patch(f"/runs/{run}", json=changes)

    def configure(self, **changes: Any) -> Any:
        answer = self.service.client.patch("/queue", json=changes)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stop(self, run: str, how: str = "stop") -> httpx.Response:
        return self.service.client.post(f"/runs/{run}/stop", json={"how": how})

    def delete(self, run: str) -> httpx.Response:
        return self.service.client.delete(
            f"/runs/{run}", headers={"Content-Type": "application/json"}
        )

    def start(self, run: str, *overrides: str) -> httpx.Response:
        return self.service.client.post(f"/runs/{run}/start", json={"overrides": list(overrides)})


class Elsewhere(Engine):
    """A cluster that has what it is given wait for a reason, until it is told to end."""

    poll_seconds = 0.05

    def __init__(self) -> None:
        self.reason = ""
        self.alive: set[str] = set()

    def start(
        self, command: Sequence[str], folder: Path, needs: Needs, record: Callable[[Handle], None]
    ) -> Handle:
        handle: Handle = {"name": needs.name}
        record(handle)
        self.alive.add(needs.name)
        return handle

    def look(self, handle: Handle) -> Word:
        return "alive" if handle["name"] in self.alive else "gone"

    def stop(self, handle: Handle, how: Literal["terminate", "kill"]) -> None:
        self.alive.discard(str(handle["name"]))

    def waits(self, handle: Handle) -> str:
        return self.reason
