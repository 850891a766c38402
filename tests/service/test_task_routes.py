"""Exports and predictions over HTTP: processes, bounded uploads, and private files."""

from __future__ import annotations

import stat
import threading
import zipfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.helpers.served import Served, make_run, rows, served
from trainer.runs.run_folders import QUEUE
from trainer.service import gate
from trainer.service.jobs.tasks import MOST_KEPT, MOST_RUNNING, Tasks

CSV = {"Content-Type": "text/csv"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tasks")
    make_run(folder / "runs/a", rows(10))
    with served(folder / "runs", folder / "state") as found:
        found.ids()
        yield found


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Tasks are scripts of a shell, the first of this list where there is one."""
    scripts: list[list[str]] = []

    def command(kind: str, arguments: Sequence[str]) -> list[str]:
        asked = [kind, *arguments]
        inputs, output = (asked.index(name) + 1 for name in ("--inputs", "--output"))
        return scripts[0] if scripts else ["cp", asked[inputs], asked[output]]

    monkeypatch.setattr(Tasks, "command", staticmethod(command))
    return scripts


def upload(service: Served, content: bytes, **headers: str) -> httpx.Response:
    run = service.ids()["a"]
    return service.client.post(f"/runs/{run}/predictions", content=content, headers=headers)


def ended(service: Served, task: str) -> Any:
    return service.wait(
        lambda: (found := service.get(f"/tasks/{task}"))["state"] != "running" and found, 120
    )


@pytest.mark.usefixtures("stand_in")
def test_a_table_is_predicted_by_a_process_in_a_folder_that_nobody_else_may_enter(
    service: Served,
) -> None:
    answer = upload(service, b"index,prediction\n0,cat\n1,dog\n", **CSV)
    assert answer.status_code == 202, answer.text
    task = answer.json()["task"]
    found = ended(service, task)
    assert (found["state"], found["error"]) == ("done", "")
    assert found["rows"] == [{"index": "0", "prediction": "cat"},
                             {"index": "1", "prediction": "dog"}]  # fmt: skip
    assert service.get(f"/tasks/{task}", rows=1)["rows"] == found["rows"][:1]
    file = service.client.get(f"/tasks/{task}/files/predictions.csv")
    assert file.text == "index,prediction\n0,cat\n1,dog\n"
    assert file.headers["content-disposition"].startswith("attachment")
    root = service.service.root
    for folder in (root / QUEUE, root / QUEUE / "tasks" / task):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(service.ids()) == ["a"]


def test_a_task_that_fails_says_why_also_to_the_next_server(
    service: Served, stand_in: list[list[str]]
) -> None:
    stand_in.append(["sh", "-c", "echo 'export: holds no such weights' >&2; exit 2"])
    task = upload(service, b"x", **CSV).json()["task"]
    found = ended(service, task)
    assert (found["state"], found["error"]) == ("failed", "export: holds no such weights")
    assert Tasks(service.service.root).look(task)[1:] == ("failed", found["error"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Type": "text/plain"}, 415), ({"Content-Type": "application/json"}, 415),
     ({"Content-Type": "multipart/form-data"}, 415), ({}, 415),
     ({**CSV, "Origin": "http://198.51.100.7"}, 403), ({**CSV, "Authorization": "Bearer x"}, 401)],
)  # fmt: skip
def test_no_other_upload_is_taken(service: Served, headers: dict[str, str], status: int) -> None:
    assert upload(service, b"a,b\n", **headers).status_code == status


def test_an_upload_is_bounded_and_no_other_path_takes_one(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = service.ids()["a"]
    monkeypatch.setattr(gate, "MAX_UPLOAD_BYTES", 100)
    assert upload(service, b"x" * 101, **CSV).status_code == 413
    anything = {"Content-Type": "application/octet-stream"}
    assert upload(service, b"a,b\n", **anything).status_code == 422
    post = service.client.post
    assert post(f"/runs/{run}/exports", content=b"x", headers=CSV).status_code == 415
    assert post(f"/runs/{run}/predictions/x", content=b"x", headers=CSV).status_code == 415


@pytest.mark.parametrize(
    "names", [[], ["mimetype"], ["a.npy", "word/document.xml"]], ids=["cut", "other", "mixed"]
)
def test_a_zip_archive_of_other_things_is_refused_as_such(
    names: list[str], service: Served
) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names or ["x"]:
            archive.writestr(name, "anything")
    content = packed.getvalue() if names else b"PK\x03\x04 and no more"
    answer = upload(service, content, **{"Content-Type": "application/octet-stream"})
    [problem] = answer.json()["problems"]
    assert answer.status_code == 422
    assert problem["rule"] == "is a zip archive, but none of arrays (.npz)"


def test_only_some_tasks_run_at_a_time_and_only_the_newest_are_kept(
    service: Served, stand_in: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.service.jobs.tasks.MOST_KEPT", 4)
    stand_in.append(["sh", "-c", f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"])
    running = [upload(service, b"x", **CSV).json()["task"] for _ in range(MOST_RUNNING)]
    assert upload(service, b"x", **CSV).status_code == 503
    (tmp_path / "go").touch()
    for task in running:
        ended(service, task)
    service.wait(lambda: not service.service.tasks._running)
    for _ in range(5):
        ended(service, upload(service, b"x", **CSV).json()["task"])
        service.wait(lambda: not service.service.tasks._running)
    assert len(list((service.service.root / QUEUE / "tasks").iterdir())) == 4 < MOST_KEPT
    assert service.client.get(f"/tasks/{running[0]}").status_code == 404
    assert not [one for one in threading.enumerate() if one.name == "task"]


@pytest.mark.slow
def test_a_run_is_exported_and_predicts(tmp_path: Path) -> None:
    from tests.helpers.runs import plan, trained  # which imports TensorFlow

    trained(tmp_path / "runs/a", "run.length=20")
    with served(tmp_path / "runs", tmp_path / "state") as service:
        run = service.ids()["a"]
        export = service.client.post(f"/runs/{run}/exports", json={"format": "keras"})
        found = ended(service, export.json()["task"])
        assert found["state"] == "done", found["error"]
        [file, _] = [one["name"] for one in found["files"]]
        assert service.client.get(f"/runs/{run}/files/{file}").status_code == 200
        content = BytesIO()
        np.save(content, np.zeros([3, *plan().experiment.data.facts().shape]))
        answer = upload(service, content.getvalue(), **{"Content-Type": "application/octet-stream"})
        found = ended(service, answer.json()["task"])
        assert found["state"] == "done", found["error"]
        assert len(found["rows"]) == 3
        refused = service.client.post(f"/runs/{run}/exports", json={"format": "pickle"})
        found = ended(service, refused.json()["task"])
        assert (found["state"], "pickle" in found["error"]) == ("failed", True)
