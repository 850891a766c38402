"""The engine of Ray: by answers as the cluster gives them, and slowly by a real cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from schedules import Refused
from tests.helpers import ray_scene
from trainer.service.access.place import Place
from trainer.service.jobs.engines.available import available
from trainer.service.jobs.engines.engine import Handle, Needs
from trainer.service.jobs.engines.ray import RayEngine

NAME = "0123456789abcdef"


class Dashboard(BaseHTTPRequestHandler):
    """`/api/jobs/` of a cluster; a job runs until a test says how it ended."""

    jobs: dict[str, dict[str, Any]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        job, _, verb = self.path.removeprefix("/api/jobs/").partition("/")
        if self.command == "POST" and not job:
            asked = json.loads(body)
            if asked["submission_id"] in self.jobs:
                self._send(400, "Please use a different submission_id.")
                return
            self.jobs[asked["submission_id"]] = {**asked, "status": "PENDING"}
        elif job not in self.jobs:
            self._send(404, "does not exist")
            return
        elif verb == "stop":
            self.jobs[job]["status"] = "STOPPED"
        self._send(200, json.dumps(self.jobs.get(job, {})))

    do_GET = do_POST = _answer  # noqa: N815

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def dashboard() -> Iterator[tuple[RayEngine, dict[str, dict[str, Any]]]]:
    class Here(Dashboard):
        jobs: dict[str, dict[str, Any]] = {}  # noqa: RUF012

    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        port = listening.server_address[1]
        try:
            yield RayEngine(Place.of_url(f"http://127.0.0.1:{port}")), Here.jobs
        finally:
            listening.shutdown()
            thread.join()


def test_a_run_is_a_job_of_its_id_of_which_there_is_one_at_a_time(tmp_path: Path) -> None:
    recorded: list[Handle] = []
    needs = Needs(NAME, tmp_path, (0, 1), ("0",))
    with dashboard() as (engine, jobs):
        assert engine.look({"id": NAME}) == "gone"
        handle = engine.start(["python", "-m", "trainer"], tmp_path, needs, recorded.append)
        assert recorded == [handle]
        assert (jobs[NAME]["entrypoint_num_cpus"], jobs[NAME]["entrypoint_num_gpus"]) == (2, 1)
        assert "exec python -m trainer </dev/null" in jobs[NAME]["entrypoint"]
        assert engine.look(handle) == "alive"
        assert engine.waits(handle) == "waits in the Ray cluster: for its turn"
        first = jobs[NAME]
        assert engine.start(["other"], tmp_path, needs, recorded.append) == handle
        assert jobs[NAME] is first  # it was adopted, and no other was started
        first |= {"status": "RUNNING", "message": "Job is currently running."}
        assert engine.waits(handle) == ""
        first |= {"status": "FAILED", "driver_exit_code": 3}
        assert (engine.look(handle), engine.exit_code(handle)) == ("gone", 3)
        again = engine.start(["other"], tmp_path, needs, recorded.append)
        assert again["id"] == f"{NAME}-2"
        assert "exec other" in jobs[f"{NAME}-2"]["entrypoint"]
        assert (engine.look(handle), engine.look(again)) == ("gone", "alive")
        engine.stop(again, "terminate")
        assert engine.look(again) == "gone"
    assert (engine.look(handle), engine.exit_code(handle)) == ("unknown", None)
    with pytest.raises(OSError, match="refused"):
        engine.start(["other"], tmp_path, needs, recorded.append)
    engine.stop(handle, "kill")


def test_a_job_that_can_not_be_recorded_is_stopped(tmp_path: Path) -> None:
    def full(_: Handle) -> None:
        raise OSError(28, "No space left on device")

    with dashboard() as (engine, jobs):
        with pytest.raises(OSError, match="No space"):
            engine.start(["true"], tmp_path, Needs(NAME, tmp_path), full)
        assert jobs[NAME]["status"] == "STOPPED"


@pytest.mark.parametrize("url", ["http://head.example:8265", "127.0.0.1:8265", "ray://127.0.0.1"])
def test_an_address_at_which_others_could_put_in_a_word_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="ssh -L 8265"):
        available(url)
    assert "ray" in available("http://127.0.0.1:8265")
    assert "ray" not in available()


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("ray") and shutil.which("unshare")),
    reason="needs `ray`, which nothing here installs, and a network of its own to listen in",
)
def test_a_real_cluster_does_as_the_pretended_one() -> None:
    # The paths of Ray's sockets would be too long in the folder of a test.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        scene = [sys.executable, "-m", ray_scene.__name__, str(shutil.which("ray")), folder]
        apart = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork",
                 "--kill-child", "--mount-proc"]  # fmt: skip
        line = 'ip link set lo up && exec "$@"'
        done = subprocess.run(
            [*apart, "sh", "-c", line, "scene", *scene], capture_output=True, text=True,
            cwd=Path(__file__).parents[2], env={**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
            timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "before": "gone",
        "failed": 3,
        "logs": ["out\n", "err\n"],
        "alive": "alive",
        "output": ["out", "up", "saved"],
    }
