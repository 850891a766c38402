"""A server that ends, is killed or starts again loses no job and starts none twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.helpers import stand_in
from tests.helpers.queued import Queued, laid, stand_ins
from tests.helpers.served import served
from trainer.runs.process_identity import ProcessIdentity
from trainer.runs.run_folders import QUEUE, submitted_folders
from trainer.runs.submission import JOB
from trainer.service.jobs import launcher, submitting
from trainer.service.jobs.engines.engine import Handle, Needs
from trainer.service.jobs.engines.local import LocalEngine
from trainer.service.jobs.queue import Queue
from trainer.service.jobs.queue_contents import QueueContents
from trainer.service.permissions import Permissions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@contextmanager
def serving(root: Path) -> Iterator[Queued]:
    with stand_ins(), served(root, root.parent / "state") as service:
        yield Queued(service)


def test_jobs_outlive_their_server_and_the_next_one_adopts_them(root: Path) -> None:
    running, waiting = laid(root, "3 inf", "3 0")
    with serving(root) as queue:
        queue.until(running, "running")
    with serving(root) as queue:
        assert queue.states() == {running: "running", waiting: "queued"}
        assert queue.service.get("/queue")["at_once"] == 1
        queue.let_go(running)
        assert queue.ended(running, waiting)["status"] == "done"
        assert (len(queue.starts(running)), len(queue.starts(waiting))) == (1, 1)


def test_a_server_that_only_looked_on_takes_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "TAKE_OVER_SECONDS", 0.05)
    running, waiting = laid(root, "3 inf", "3 0")
    with stand_ins(), ExitStack() as first, ExitStack() as second:
        queue = Queued(first.enter_context(served(root, root.parent / "state")))
        queue.until(running, "running")
        other = Queued(second.enter_context(served(root, root.parent / "other state")))
        assert not other.service.get("/queue")["launching"]
        first.close()
        other.service.wait(lambda: other.service.get("/queue")["launching"])
        assert other.states() == {running: "running", waiting: "queued"}
        other.service.ids()
        other.let_go(running)
        assert other.ended(running, waiting)["status"] == "done"
        assert (len(other.starts(running)), len(other.starts(waiting))) == (1, 1)


def test_a_root_to_which_nothing_was_submitted_stays_as_it_is_and_is_not_searched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(QueueContents, "read")
    with served(root, root.parent / "state") as service:
        found = service.get("/queue")
        assert (found["launching"], found["why"], found["entries"]) == (True, "", [])
    assert list(root.iterdir()) == []


def test_a_job_is_given_what_this_server_allows_and_nothing_else(root: Path) -> None:
    [run] = laid(root, "3 0")
    queue = Queue(root, {}, lambda _: None, lambda _: ())
    [entry] = queue.read(submitted_folders(root))
    permissions = Permissions(("my.module",), config_dir="options")
    command = launcher.Launcher(queue, permissions).command(entry.submission)
    assert entry.id == run
    assert command[1:3] == ["-m", "trainer"]
    assert command[3:] == ["--config-dir", "options", "allow_code=[my.module]",
                           f"hydra.run.dir='{entry.path}'"]  # fmt: skip


def test_a_job_that_ended_while_there_was_no_server_has_ended(root: Path) -> None:
    [run] = laid(root, "3 inf")
    with serving(root) as queue:
        queue.until(run, "running")
        path, [process] = queue.path(run), queue.starts(run)
        identity = ProcessIdentity.of(process)
    (path / stand_in.LET_GO).touch()
    while identity.lives():
        time.sleep(0.01)
    with serving(root) as queue:
        assert queue.states() == {}
        assert queue.ended(run)["status"] == "done"
        assert len(queue.starts(run)) == 1


@pytest.mark.parametrize("field", ["boot", "start_time"])
def test_a_process_of_the_same_number_is_another_one_and_the_job_goes_on(
    root: Path, field: str
) -> None:
    [run] = laid(root, "3 inf")
    with serving(root) as queue:
        queue.until(run, "running")
        path = queue.path(run)
        queue.configure(paused=True)
        queue.kill(run)
        queue.until(run, "lost")
    stranger = {**ProcessIdentity.of(os.getpid()).model_dump(), field: "another"}
    record = json.loads((path / JOB).read_text())
    (path / JOB).write_text(json.dumps({**record, "handle": stranger, "fruitless": 1}))
    with serving(root) as queue:
        assert queue.states() == {run: "lost"}
        queue.configure(paused=False)
        queue.until(run, "running")
        queue.let_go(run)
        assert queue.ended(run)["status"] == "done"
        assert len(queue.starts(run)) == 2


def test_the_end_of_the_machine_is_no_fault_of_a_job(root: Path) -> None:
    [run] = laid(root, "3 nan")
    with serving(root) as queue:
        assert queue.ended(run)["status"] == "failed"
        assert "died 3 times" in queue.ended(run)["reason"]
        assert len(queue.starts(run)) == 3
        path = queue.path(run)
    (path / "result.json").unlink()
    record = json.loads((path / JOB).read_text())
    elsewhere = {**record["handle"], "boot": "before"}
    (path / JOB).write_text(json.dumps({**record, "handle": elsewhere, "result_before": ""}))
    with serving(root) as queue:
        queue.ended(run)
        assert len(queue.starts(run)) == 4


def test_a_submission_that_was_not_finished_leaves_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid(root, "3 0")
    before = set(root.glob("queue/*"))

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(submitting, "_flush", die)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if it were killed
        with pytest.raises(KeyboardInterrupt):
            laid(root, "4 0")
    assert set(root.glob("queue/*")) == before
    assert list(root.glob(f"{QUEUE}/drafts/*"))
    with serving(root) as queue:
        assert len(queue.states()) <= 1
        assert not list(root.glob(f"{QUEUE}/drafts/*"))


def test_a_process_that_could_not_be_recorded_never_begins(tmp_path: Path) -> None:
    def fail(_: Handle) -> None:
        raise OSError("the disk is full")

    engine = LocalEngine()
    needs = Needs("0", tmp_path, (0,))
    with pytest.raises(OSError, match="full"):
        engine.start(["touch", str(tmp_path / "begun")], tmp_path, needs, fail)
    assert not (tmp_path / "begun").exists()
    recorded: list[Handle] = []
    handle = engine.start(["touch", str(tmp_path / "begun")], tmp_path, needs, recorded.append)
    assert recorded == [handle]
    engine.forget(handle)
    assert (tmp_path / "begun").exists()


def test_no_signal_goes_to_another_process_of_the_same_number(tmp_path: Path) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        stranger = {**ProcessIdentity.of(os.getpid()).model_dump(), "start_time": "another"}
        LocalEngine().stop(stranger, "terminate")
        assert LocalEngine().look(stranger) == "gone"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == []
