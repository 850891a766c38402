"""A server that ends, is killed or starts again loses no job and starts none twice."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.queued import Queued, stand_ins
from tests.helpers.served import served


def test_jobs_outlive_their_server_and_the_next_one_adopts_them(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with stand_ins():
        with served(tmp_path / "runs", tmp_path / "state") as service:
            queue = Queued(service)
            queue.configure(at_once=1)
            [running] = queue.submit("3 inf")
            [waiting] = queue.submit("3 0")
            queue.until(running, "running")
        with served(tmp_path / "runs", tmp_path / "state") as service:
            queue = Queued(service)
            assert queue.states() == {running: "running", waiting: "queued"}
            assert service.get("/queue")["at_once"] == 1
            queue.let_go(running)
            assert queue.ended(running, waiting)["status"] == "done"
            assert (len(queue.starts(running)), len(queue.starts(waiting))) == (1, 1)
