"""A server that is killed a hundred times while it works: no job is lost, doubled or other."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

KILLS = 100
JOB = ["data=digits", "model=mlp", "run.compile=graph", "run.length=20000", "log.every=50 steps",
       "checkpoint.every=500 steps", "evaluate.every=2000 steps", "~log.tensorboard"]  # fmt: skip
SEEDS = "run.seed=1,2,3"
PATIENCE = 900


class Storm:
    """The server of a root, which is killed and started again."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root = root
        self._state = state
        self._begin()

    def _begin(self) -> None:
        environment = {**os.environ, "XDG_STATE_HOME": str(self._state)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "trainer.serve", str(self.root), "--port", "0"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self._process.stdout
        line = self._process.stdout.readline()
        url = line.rpartition(": ")[2].partition("/?")[0]
        token = (self._state / "scheduled-training/token").read_text().strip()
        self.client = httpx.Client(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    def end(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()
        self.client.close()

    def kill(self) -> None:
        self.end(signal.SIGKILL)
        self._begin()

    def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/queue").json()["entries"]
        return found

    def submit(self, key: str) -> dict[str, Path]:
        """The folders of the jobs by their last override, which is the seed."""
        body = {"overrides": [*JOB, SEEDS]}
        answer = self.client.post("/runs", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text
        runs = {run["overrides"][-1]: run for run in answer.json()["runs"]}
        return {seed: self.root / run["name"] for seed, run in runs.items()}

    def kill_a_job(self, draw: random.Random) -> list[Path]:
        """Kills the process of a run that has written rows, if there is one; gives its folder."""
        for entry in draw.sample(found := self.entries(), len(found)):
            path = self.root / Path(self.client.get(f"/runs/{entry['id']}").json()["path"])
            rows = path / "metrics.jsonl"
            if entry["state"] != "running" or not rows.exists() or not rows.stat().st_size:
                continue
            process = json.loads((path / "job.json").read_text())["handle"]["pid"]
            if not (path / "result.json").exists():
                descriptor = os.pidfd_open(process)
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                os.close(descriptor)
                return [path]
        return []

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.5)


def digest(path: Path) -> str:
    result = json.loads((path / "result.json").read_text())
    assert result["status"] == "done", result
    return str(result["weights_digest"])


@pytest.mark.slow
def test_a_hundred_kills_of_the_server_and_some_of_jobs_lose_and_double_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "runs").mkdir()
    draw = random.Random(1)
    killed: Counter[Path] = Counter()
    disturbed: list[dict[str, Path]] = []
    storm = Storm(tmp_path / "runs", tmp_path / "state")
    try:
        for number in range(KILLS):
            if not storm.entries():
                disturbed.append(storm.submit(f"disturbed-{len(disturbed)}"))
            time.sleep(draw.uniform(0, 0.8))
            if number % 6 == 5:
                killed.update(storm.kill_a_job(draw))
            if number % 10 == 7:  # a client that got no answer asks again
                assert storm.submit(f"disturbed-{len(disturbed) - 1}") == disturbed[-1]
            storm.kill()
        storm.until(lambda: not storm.entries())
        undisturbed = storm.submit("the-undisturbed-jobs")
        storm.until(lambda: not storm.entries())
    finally:
        storm.end()
    expected = {seed: digest(path) for seed, path in undisturbed.items()}
    for jobs in disturbed:
        assert {seed: digest(path) for seed, path in jobs.items()} == expected
        for path in jobs.values():
            attempts = json.loads((path / "job.json").read_text())["number"]
            assert attempts == 1 + killed[path], "a process was started that was not needed"
    assert killed.total() > 0
    assert len(set(expected.values())) == len(expected)
