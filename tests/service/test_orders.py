"""Orders over HTTP: they change a run that trains, once each, and say why where they can't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers import runs
from tests.helpers.served import Served, make_run, rows, served, training
from trainer.runs.folder import Folder
from trainer.runs.mailbox import Mailbox


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    make_run(tmp_path / "runs/a", rows(10), None)
    with served(tmp_path / "runs", tmp_path / "state") as found:
        found.ids()
        yield found


def post(service: Served, *orders: str, wait: float = 20, **headers: str) -> httpx.Response:
    run = service.ids()["a"]
    body = {"orders": list(orders), "wait": wait}
    return service.client.post(f"/runs/{run}/orders", json=body, headers=headers)


def test_an_order_changes_a_run_that_trains_and_is_on_its_record(tmp_path: Path) -> None:
    path = tmp_path / "runs/a"
    path.mkdir(parents=True)
    answers: list[httpx.Response] = []
    with served(tmp_path / "runs", tmp_path / "state") as service:

        def steer() -> None:
            service.wait(lambda: service.ids().get("a"))
            answers.append(post(service, "learning_rate=0.001"))
            answers.append(post(service, "learning_rate=much"))
            answers.append(post(service, "weight_decay=1"))
            answers.append(post(service, "stop"))

        thread = runs.in_the_middle(path, steer)
        with Folder(path).locked():
            runs.trained(path, "run.length=50000", "run.steps_per_call=20")
        thread.join()
    held, no_number, no_name, stopped = answers
    assert held.status_code == 200, held.text
    assert held.json()["state"] == "obeyed"
    step = held.json()["step"]
    applied = {row["step"]: row["learning_rate"] for row in runs.rows(path) if "loss" in row}
    assert (applied[step], applied[step - 1] == 0.001) == (pytest.approx(0.001), False)
    assert [row["orders"] for row in runs.events(path, "command")] == [
        ["learning_rate=0.001"], ["stop"]
    ]  # fmt: skip
    assert no_number.status_code == no_name.status_code == 422
    assert no_number.json()["problems"][0]["path"] == "learning_rate"
    assert "weight_decay" in no_name.json()["detail"]
    assert stopped.status_code == 200
    assert runs.result(path)["status"] == "stopped"


def test_the_same_key_orders_once_also_after_the_server_has_started_again(
    service: Served, tmp_path: Path
) -> None:
    key = {"Idempotency-Key": "click-0001"}
    with training(tmp_path / "runs/a") as taken:
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: post(service, "checkpoint", **key), range(2))
        assert first.json()["told"] == second.json()["told"] == ["did checkpoint"]
        [letter] = {letter.id for letter in taken}
        record = {
            "step": 7,
            "event": "command",
            "orders": ["checkpoint"],
            "id": letter,
            "rewinds": 0,
        }
        (tmp_path / "runs/a/events.jsonl").write_text(json.dumps(record) + "\n")
        with served(tmp_path / "runs", tmp_path / "other state") as later:
            later.ids()
            assert post(later, "checkpoint", **key).json()["step"] == 7
        assert len(taken) == 1
        post(service, "checkpoint")
        post(service, "evaluate", **key)
        assert len(taken) == 3


def test_where_nobody_trains_there_is_nobody_to_order(service: Served) -> None:
    answer = post(service, "checkpoint")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_running")


def test_a_run_that_is_starting_takes_no_orders_yet(service: Served, tmp_path: Path) -> None:
    with Folder(tmp_path / "runs/a").locked():
        answer = post(service, "checkpoint", wait=0.1)
    assert answer.status_code == 409
    assert answer.json()["detail"] == "the run is starting and takes no orders yet"


def test_a_letter_that_waits_can_be_asked_for_and_withdrawn(
    service: Served, tmp_path: Path
) -> None:
    path = tmp_path / "runs/a"
    run = service.ids()["a"]
    with Folder(path).locked():
        Mailbox(path).open()
        waiting = post(service, "checkpoint", wait=0)
        assert waiting.status_code == 202
        letter = f"/runs/{run}/orders/{waiting.json()['letter']}"
        assert service.client.get(letter).status_code == 202
        assert service.client.request("DELETE", letter, json={}).status_code == 200
        assert service.client.get(letter).status_code == 404
        assert list(Mailbox(path).take()) == []
        assert service.client.request("DELETE", letter, json={}).status_code == 409
    answered = post_and_answer(service, path)
    for _ in range(2):  # an answer may be asked for again
        assert service.client.get(f"/runs/{run}/orders/{answered}").json()["state"] == "obeyed"


def post_and_answer(service: Served, path: Path) -> str:
    with training(path):
        return str(post(service, "checkpoint").json()["letter"])


def test_a_run_that_ends_meanwhile_is_told(service: Served, tmp_path: Path) -> None:
    path = tmp_path / "runs/a"
    with ThreadPoolExecutor(1) as pool:
        with Folder(path).locked():
            Mailbox(path).open()
            answer = pool.submit(post, service, "checkpoint")
            service.wait(lambda: list(Mailbox(path).folder.glob("*.letter")))
        assert answer.result().status_code == 409
    assert list(Mailbox(path).folder.iterdir()) == []


def test_a_refusal_of_the_run_is_a_refusal_here(service: Served, tmp_path: Path) -> None:
    with training(tmp_path / "runs/a", lambda _: {"refused": "rho: is not scheduled"}):
        answer = post(service, "rho=1")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "rho: is not scheduled"


@pytest.mark.parametrize("body", [{}, {"orders": []}, {"orders": "stop"}, {"orders": ["x" * 2000]},
                                  {"orders": ["stop"] * 101}, {"orders": ["nothing"]},
                                  {"orders": ["stop"], "wait": 1e9}])  # fmt: skip
def test_what_is_no_order_is_refused(body: Any, service: Served) -> None:
    run = service.ids()["a"]
    assert service.client.post(f"/runs/{run}/orders", json=body).status_code == 422


@pytest.mark.parametrize("letter", ["x", "1-0123456789abcdef", "..%2f..%2fx", "1-zzzzzzzzzz"])
def test_a_letter_that_there_is_not_is_not_found(letter: str, service: Served) -> None:
    answer = service.client.get(f"/runs/{service.ids()['a']}/orders/{letter}")
    assert answer.status_code in (404, 422)
