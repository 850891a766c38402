"""The queue: what is submitted is trained once, in its order, and whatever is killed goes on."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.queued import NoCheck, Queued, stand_ins
from tests.helpers.served import Served, served
from trainer.runs.run_folders import INDEX, run_folders
from trainer.runs.submission import read_submission
from trainer.service import running_service
from trainer.service.jobs import job_ends, launcher, submitting
from trainer.service.jobs.engines.local import LocalEngine

SLOW = "3 inf"
"""A job that lasts until a test lets it go."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("queue")
    (folder / "runs").mkdir()
    return folder


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Served]:
    """One server for all tests, since each has a worker that checks what is submitted."""
    with stand_ins(), served(folder / "runs", folder / "state") as found:
        yield found


@pytest.fixture
def checked() -> None:
    """For tests in which what is submitted is checked by the worker, which takes a while."""


@pytest.fixture
def queue(
    service: Served, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Queued]:
    """The queue, with nothing in it, of which one job at a time runs."""
    queued = Queued(service)
    queued.configure(paused=False, at_once=1)
    if "checked" not in request.fixturenames:
        monkeypatch.setattr(service.service, "checker", NoCheck())
    yield queued
    for run in queued.states():
        queued.stop(run, "kill")
    service.wait(lambda: not queued.states())


@pytest.mark.usefixtures("checked")
def test_what_is_submitted_is_in_its_folder_before_the_answer_and_trained_once(
    queue: Queued,
) -> None:
    [run] = queue.submit(tags=["first"], priority=3)
    submission = read_submission(queue.path(run))
    assert submission
    assert submission.overrides == ["data=digits", "model=mlp"]
    assert (submission.priority, submission.tags) == (3, ["first"])
    assert queue.ended(run)["status"] == "done"
    assert len(queue.starts(run)) == 1
    listed = queue.service.get(f"/runs/{run}")
    assert (listed["title"], listed["tags"], listed["status"]) == ("3 0", ["first"], "done")


def test_the_same_key_gives_the_same_run_for_ever_and_another_body_is_refused(
    queue: Queued, folder: Path
) -> None:
    [run] = queue.submit(key="a-key-of-mine")
    assert queue.submit(key="a-key-of-mine") == [run]
    queue.ended(run)
    assert queue.submit(key="a-key-of-mine") == [run]
    assert queue.post("3 0", ["run.seed=2"], "a-key-of-mine").status_code == 422
    with served(folder / "runs", folder / "other state") as other:
        assert Queued(other).post(key="a-key-of-mine").status_code == 409  # it starts no jobs
    assert len(queue.starts(run)) == 1


@pytest.mark.usefixtures("checked")
def test_a_sweep_is_one_entry_a_job_in_a_folder_that_reports_know(queue: Queued) -> None:
    queue.configure(paused=True)
    asked = {"overrides": ["data=digits", "model=mlp", "run.seed=1,2,3"]}
    dry = queue.service.client.post("/runs?dry=1", json=asked)
    assert dry.status_code == 200
    assert (dry.json()["sweep"], len(dry.json()["runs"])) == (True, 3)
    assert queue.states() == {}
    answer = queue.post("2 0", ["run.seed=1,2,3"]).json()
    runs = [run["id"] for run in answer["runs"]]
    assert [run["overrides"][-1] for run in answer["runs"]] == [
        "run.seed=1", "run.seed=2", "run.seed=3"
    ]  # fmt: skip
    assert queue.states() == dict.fromkeys(runs, "queued")
    paths = [queue.path(run) for run in runs]
    queue.configure(paused=False)
    queue.ended(*runs)
    sweep = paths[0].parent
    assert (sweep / INDEX).exists()
    assert run_folders([sweep]) == paths
    assert {queue.service.get(f"/runs/{run}")["group"] for run in runs} == {
        sweep.relative_to(queue.service.service.root).as_posix()
    }
    listed = {one["id"]: one["statuses"] for one in queue.service.get("/sweeps")["sweeps"]}
    assert listed[answer["sweep"]] == {"done": 3}
    queue.service.wait((sweep / "report.html").exists)  # as `-m` writes it at its end
    lines = (sweep / "sweep.csv").read_text().splitlines()
    assert len(lines) == 1 + len(runs)


@pytest.mark.usefixtures("checked")
def test_a_search_is_one_entry_that_one_process_runs_as_a_whole(queue: Queued) -> None:
    body = {"overrides": ["experiment=search", "hydra.sweeper.n_trials=2"]}
    dry = queue.service.client.post("/runs?dry=1", json=body).json()
    assert (dry["search"], len(dry["runs"])) == (True, 1)
    queue.configure(paused=True)
    answer = queue.service.client.post("/runs", json=body).json()
    [run] = [run["id"] for run in answer["runs"]]
    submission = read_submission(queue.path(run))
    assert submission
    assert submission.arguments[:3] == ["-m", "hydra.sweeper.n_trials=2", "experiment=search"]
    assert queue.stop(run).json()["state"] == "cancelled"


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"overrides": ["hydra.run.dir=/tmp/x"]}, "hydra.run.dir"),
        ({"overrides": ["hydra/launcher=local"]}, "hydra/launcher"),
        ({"overrides": ["hydra/sweeper=optuna", "data.path=choice(/etc/passwd,a)"]}, "data.path.0"),
        ({"overrides": ["data.path=/etc/passwd,/etc/group"]}, "data.path"),
        ({"overrides": ["hydra.sweeper.storage=sqlite:///x"]}, "hydra.sweeper.storage"),
        ({"overrides": ["allow_code=true"]}, "allow_code"),
        ({"overrides": ["log.mlflow.uri=http://198.51.100.7"]}, "log.mlflow.uri"),
        ({"overrides": ["log.mlflow.uri=sqlite:///x.db"]}, "log.mlflow.uri"),
        ({"overrides": ["run.seed=1,x"]}, "run.seed"),
        ({"overrides": ["++log.wandb.api_key=hunter2"]}, "++log.wandb.api_key"),
        ({"yaml": "run: {seed: '${oc.env:HOME}'}"}, "run.seed"),
        ({"yaml": "allow_code: true"}, "allow_code"),
        ({"overrides": ["run.seed=1,2"], "yaml": "run: {length: 3}"}, "yaml"),
        ({"overrides": ["run.length=fast"]}, "run.length"),
        ({"engine": "nowhere"}, "engine"),
    ],
)  # fmt: skip
def test_what_may_not_be_submitted_is_refused_and_leaves_nothing(
    queue: Queued, folder: Path, body: dict[str, Any], path: str
) -> None:
    before = set((folder / "runs").rglob("*"))
    answer = queue.service.client.post("/runs", json=body)
    assert answer.status_code == 422, answer.text
    assert path in [problem["path"] for problem in answer.json()["problems"]]
    assert set((folder / "runs").rglob("*")) == before


def test_a_second_server_shows_the_queue_and_starts_nothing(queue: Queued, folder: Path) -> None:
    [run] = queue.submit(SLOW)
    with served(folder / "runs", folder / "other state") as other:
        found = other.get("/queue")
        assert (found["launching"], bool(found["why"])) == (False, True)
        assert [entry["id"] for entry in found["entries"]] == [run]
        assert other.client.patch("/queue", json={"paused": True}).status_code == 409
    assert len(queue.starts(run)) <= 1


def test_a_second_server_walks_through_no_folders_to_show_the_queue(
    queue: Queued, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [ended] = queue.submit("1 0")
    queue.ended(ended)
    running, waiting = [run for _ in range(2) for run in queue.submit(SLOW)]
    with served(folder / "runs", folder / "other state") as other:
        other.ids()
        walks: list[Path] = []
        monkeypatch.setattr(running_service, "submitted_folders", walks.append)
        seen = Queued(other)
        other.wait(lambda: seen.states() == {running: "running", waiting: "queued"})
        queue.stop(waiting)
        other.wait(lambda: list(seen.states()) == [running])
        assert walks == []


def test_a_killed_job_goes_on_by_itself_and_ends_as_an_undisturbed_one(queue: Queued) -> None:
    [undisturbed] = queue.submit("3 0")
    [run] = queue.submit(SLOW)
    queue.until(run, "running")
    queue.kill(run)
    queue.service.wait(lambda: len(queue.starts(run)) == 2)
    queue.let_go(run)
    assert queue.ended(run)["weights_digest"] == queue.ended(undisturbed)["weights_digest"]
    assert len(queue.starts(run)) == 2


def test_a_copy_of_what_waits_is_not_in_the_queue(queue: Queued, folder: Path) -> None:
    queue.configure(paused=True)
    [run] = queue.submit()
    path = queue.path(run)
    shutil.copytree(path, folder / "runs/copy")
    shutil.copytree(folder / "runs", folder / "copied")
    with served(folder / "copied", folder / "other state") as other:
        other.ids()
        assert other.get("/queue")["entries"] == []
    shutil.rmtree(folder / "runs/copy")
    (path / "submission.json").chmod(0o666)  # whoever may write it could have us run what he likes
    assert queue.service.service.queue.read([path]) == []
    (path / "submission.json").chmod(0o644)
    assert [entry.id for entry in queue.service.service.queue.read([path])] == [run]


def test_the_order_is_priority_then_place_and_a_held_run_waits(queue: Queued) -> None:
    queue.configure(paused=True)
    first, second, third = (queue.submit()[0] for _ in range(3))
    urgent = queue.submit(priority=5)[0]
    assert list(queue.states()) == [urgent, first, second, third]
    assert queue.change(third, before=first).status_code == 200
    assert list(queue.states()) == [urgent, third, first, second]
    queue.change(third, before=None)
    queue.change(first, before=urgent)
    assert list(queue.states()) == [first, urgent, second, third]
    queue.change(third, priority=9, held=True)
    assert next(iter(queue.states().items())) == (third, "held")
    assert queue.change(third, before=third).status_code == 200
    for _ in range(10):  # whatever lies between two runs is used up at some time
        queue.change(second, before=urgent)
        queue.change(first, before=second)
        queue.change(second, before=first)
    assert list(queue.states()) == [third, second, first, urgent]
    queue.configure(paused=False)
    queue.ended(first, second, urgent)
    assert queue.states() == {third: "held"}
    began = {run: (queue.path(run) / "job.json").stat().st_mtime_ns
             for run in (second, first, urgent)}  # fmt: skip
    assert list(began) == sorted(began, key=lambda run: began[run])
    queue.change(third, held=False)
    assert queue.ended(third)["status"] == "done"


def test_a_job_is_stopped_rung_by_rung_and_each_is_shown(
    queue: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(job_ends.RUNG_SECONDS, "terminate", 0.2)
    [saves], [deaf], [waits] = queue.submit(SLOW), queue.submit("3 -2"), queue.submit()
    queue.until(saves, "running")
    assert queue.stop(waits).json()["state"] == "cancelled"
    assert queue.stop(saves).json()["state"] == "stopping"
    assert queue.ended(saves)["status"] == "interrupted"
    assert queue.state(saves) == "interrupted"
    queue.until(deaf, "running")
    assert "SIGTERM" in queue.stop(deaf, "terminate").json()["why"] or queue.why(deaf)
    queue.service.wait(lambda: deaf not in queue.states())
    assert queue.state(deaf) == "unfinished"
    submission = read_submission(queue.path(deaf))
    assert submission
    assert submission.stop == "kill"
    assert len(queue.starts(deaf)) == 1
    assert queue.starts(waits) == []
    assert queue.stop(waits).status_code == 409


def test_what_was_stopped_goes_on_or_longer_and_what_is_done_does_not(queue: Queued) -> None:
    [run] = queue.submit(SLOW)
    queue.until(run, "running")
    assert queue.start(run).status_code == 409
    queue.stop(run, "terminate")
    queue.ended(run)
    queue.let_go(run)
    assert queue.start(run).json()["state"] in ("queued", "starting", "running")
    assert queue.ended(run)["status"] == "done"
    assert len(queue.starts(run)) == 2
    assert queue.start(run).status_code == 409
    assert queue.start(run, "run.length=500").status_code == 200
    queue.ended(run)
    submission = read_submission(queue.path(run))
    assert submission
    assert submission.overrides[-1] == "run.length=500"


def test_a_job_that_fails_by_itself_says_why_and_is_not_tried_again(queue: Queued) -> None:
    [run] = queue.submit("3 -1")
    assert queue.ended(run)["reason"] == "it fails, as it was told to"
    assert queue.state(run) == "failed"
    assert len(queue.starts(run)) == 1


@pytest.mark.usefixtures("checked")
def test_a_sweep_is_stopped_as_a_whole(queue: Queued) -> None:
    sweep = queue.post(SLOW, ["run.seed=1,2,3"]).json()
    runs = [run["id"] for run in sweep["runs"]]
    queue.until(runs[0], "running")
    answer = queue.service.client.post(f"/sweeps/{sweep['sweep']}/stop", json={})
    assert {run["id"] for run in answer.json()["runs"]} == set(runs)
    queue.service.wait(lambda: not queue.states())
    assert [queue.state(run) for run in runs] == ["interrupted", "cancelled", "cancelled"]


def test_what_is_deleted_is_in_the_trash_and_in_no_list(queue: Queued, folder: Path) -> None:
    [running] = queue.submit(SLOW)
    [run] = queue.submit(key="a-key-of-the-deleted")
    queue.until(running, "running")
    path = queue.path(run)
    assert queue.delete(running).status_code == 409
    assert queue.delete(run).status_code == 200
    assert (folder / "runs/.trash" / path.relative_to(folder / "runs") / "submission.json").exists()
    assert run not in queue.states()
    assert run not in queue.service.ids().values()
    assert queue.post(key="a-key-of-the-deleted").status_code == 409


def test_a_full_disk_keeps_nothing_of_a_submission(
    queue: Queued, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = set((folder / "runs").rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(submitting, "_flush", full)
        assert queue.post().status_code == 507
    assert set((folder / "runs").rglob("*")) == before


def test_a_job_that_can_not_be_started_says_why_and_is_tried_again(
    queue: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(launcher, "RETRY_SECONDS", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(launcher, "write_attempt", full)
        [run] = queue.submit()
        queue.service.wait(lambda: "No space left" in queue.why(run))
    assert queue.ended(run)["status"] == "done"
    assert len(queue.starts(run)) == 1


def test_a_run_whose_folder_was_removed_by_hand_leaves_the_queue(queue: Queued) -> None:
    queue.configure(paused=True)
    [gone], [stays] = queue.submit(), queue.submit()
    shutil.rmtree(queue.path(gone))
    queue.configure(paused=False)
    queue.ended(stays)
    assert queue.states() == {}
    queue.service.wait(lambda: gone not in queue.service.ids().values())


def test_who_listens_is_told_that_the_queue_has_changed(queue: Queued) -> None:
    with queue.service.events("queue") as events:
        assert next(events)[0] == "open"
        queue.configure(paused=True)
        assert next(events)[0] == "queue"


def test_who_waits_for_more_cores_is_not_overtaken(queue: Queued) -> None:
    cores = len(queue.service.service.queue.machine.cores)
    assert queue.configure(at_once=2)["at_once"] == 2
    [one] = queue.submit(SLOW)
    queue.until(one, "running")
    [all_of_them] = queue.submit("3 0", cores=cores)
    [too_many] = queue.submit("3 0", cores=cores + 1)
    [small] = queue.submit("3 0")
    assert queue.states() == {one: "running", all_of_them: "queued", too_many: "queued",
                              small: "queued"}  # fmt: skip
    assert "core" in queue.why(all_of_them)
    queue.let_go(one)
    queue.ended(one, all_of_them, small)
    assert queue.why(too_many) == f"needs {cores + 1} cores, and the queue has {cores}"
    queue.stop(too_many)


def test_an_idle_queue_sleeps_and_keeps_nothing_of_what_has_ended(queue: Queued) -> None:
    runs = [queue.submit("1 0")[0] for _ in range(3)]
    queue.ended(*runs)
    service = queue.service.service
    queue.service.wait(lambda: not service.queue.entries)
    assert service.launcher._turn() is None  # until it is woken
    engine = service.queue.engines["local"]
    assert isinstance(engine, LocalEngine)
    held = (engine._children, engine._descriptors, service.launcher._watched)
    assert [len(one) for one in held] == [0, 0, 0]
