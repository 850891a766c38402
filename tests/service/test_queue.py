"""The queue: what is submitted is trained once, in its order, and whatever is killed goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.queued import Queued, stand_ins
from tests.helpers.served import Served, served
from trainer.runs.run_folders import INDEX, run_folders
from trainer.runs.submission import read_submission

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
def queue(service: Served) -> Iterator[Queued]:
    """The queue, with nothing in it, of which one job at a time runs."""
    queued = Queued(service)
    queued.configure(paused=False, at_once=1)
    yield queued
    for run in queued.states():
        queued.stop(run, "kill")
    service.wait(lambda: not queued.states())


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
