"""Previews over HTTP: the numbers that training applies, refusals, and what is not allowed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.served import TOKEN, Served, served
from trainer.client import Client, ClientError
from trainer.config.experiment import Experiment
from trainer.service.design import previewer

MOMENTUM = "optimizer.momentum={kind: linear, initial_value: 0.8, end_value: 0.95}"
JOB = ["data=digits", "model=mlp"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("preview")
    (folder / "runs").mkdir()
    with served(folder / "runs", folder / "state") as found:
        yield found


def asked(service: Served, *overrides: str, **more: Any) -> httpx.Response:
    return service.client.post("/preview", json={"overrides": [*JOB, *overrides], **more})


def preview(service: Served, *overrides: str, **more: Any) -> Any:
    answer = asked(service, *overrides, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def problems(service: Served, *overrides: str, **more: Any) -> dict[str, dict[str, Any]]:
    answer = asked(service, *overrides, **more)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {problem["path"]: problem for problem in answer.json()["problems"]}


def test_the_values_are_bit_for_bit_those_that_training_applies(service: Served) -> None:
    overrides = ("schedule=cosine_restarts", "warmup=linear", "run.length=1000",
                 MOMENTUM)  # fmt: skip
    found = preview(service, *overrides)
    curves = Experiment.composed(*JOB, *overrides).curves()
    assert found["total_steps"] == 1000
    assert [curve["name"] for curve in found["curves"]] == list(curves)
    for drawn in found["curves"]:
        steps = drawn["steps"]
        assert drawn["values"] == [curves[drawn["name"]](step) for step in steps]
        assert (steps[0], steps[-1]) == (0, 999)
    [window] = preview(service, *overrides, names=["momentum"], **{"from": 400, "to": 410})[
        "curves"
    ]
    assert window["steps"] == list(range(400, 410))


def test_a_config_as_yaml_gives_the_same_as_overrides_and_they_win(service: Served) -> None:
    text = "schedule: {kind: linear, initial_value: 0.5, end_value: 0.0}\nrun: {length: 100}\n"
    found = preview(service, "run.length=50", values=text)
    assert (found["total_steps"], found["curves"][0]["first"]) == (50, 0.5)
    assert preview(service, "run.length=50", values=found["config"])["curves"] == found["curves"]


def test_the_yaml_of_an_answer_gives_the_same_config_again(service: Served) -> None:
    found = preview(service, "schedule=wsd", MOMENTUM)
    again = service.client.post("/preview", json={"values": found["yaml"]}).json()
    assert again["yaml"] == found["yaml"]
    assert again["curves"] == found["curves"]


def test_a_refusal_has_every_problem_at_its_field(service: Served) -> None:
    found = problems(service, "schedule.initial_value=fast", "optimizer.momentum=2")
    assert found["schedule.initial_value"]["value"] == "fast"
    assert found["optimizer.momentum"]["rule"]


def test_a_curve_that_can_not_train_is_drawn_beside_its_refusal(service: Served) -> None:
    falling = ("schedule={kind: linear, initial_value: 0.02, end_value: -0.02}",)
    answer = asked(service, *falling)
    assert answer.status_code == 422
    [problem] = answer.json()["problems"]
    assert problem["mend"] == [problem["hint"]]
    assert answer.json()["preview"]["curves"][0]["first"] == 0.02
    preview(service, *falling, *problem["mend"])


def test_a_warning_comes_with_the_overrides_that_mend_it(service: Served) -> None:
    found = preview(service, "schedule.initial_value=50")["findings"]
    assert [finding["severity"] for finding in found] == ["warning"]
    assert preview(service, *found[0]["mend"])["findings"] == []


@pytest.mark.parametrize(
    ("asked_for", "path"),
    [
        ({"overrides": ["allow_code=true"]}, "allow_code"),
        ({"overrides": ["++allow_code=[os]"]}, "allow_code"),
        ({"overrides": ["+ allow_code =true"]}, "allow_code"),
        ({"values": "allow_code: true"}, "allow_code"),
        ({"values": {"allow_code": True}}, "allow_code"),
        ({"overrides": ["hydra.run.dir=/tmp/x"]}, "hydra.run.dir"),
        ({"overrides": ["hydra/launcher=local"]}, "hydra/launcher"),
        ({"overrides": ["+hydra.searchpath=[file:///etc]"]}, "hydra.searchpath"),
        ({"overrides": ["schedule@optimizer=cosine"]}, "schedule@optimizer"),
        ({"values": "hydra: {run: {dir: /tmp}}"}, "hydra"),
        ({"overrides": ["--config-dir=/etc"]}, "--config-dir"),
        ({"overrides": ["-m"]}, "-m"),
        ({"overrides": ["run.seed=${oc.env:HOME}"]}, "run.seed"),
        ({"overrides": ["run.seed='${${run.x}:HOME}'"]}, "run.seed"),
        ({"overrides": ["run.seed=${secret:TOKEN}"]}, "run.seed"),
        ({"values": "run: {seed: ['${oc.env:HOME}']}"}, "run.seed.0"),
        ({"values": {"run": {"seed": "${oc.env:HOME}"}}}, "run.seed"),
        ({"overrides": ["experiment=../../etc/x"]}, "experiment"),
        ({"values": {"experiment": "../x"}}, "experiment"),
        ({"overrides": ["rerun=/etc"]}, "rerun"),
        ({"overrides": ["data=csv", "data.path=/etc/passwd", "data.target=a"]}, "data.path"),
        ({"overrides": ["data=csv", "data.path=../../etc/passwd", "data.target=a"]}, "data.path"),
        ({"overrides": ["run.replay=~/.ssh/id_rsa"]}, "run.replay"),
        ({"overrides": ["init_from={path: /etc}"]}, "init_from.path"),
        ({"overrides": ["schedule={kind: custom, call: 'os:getcwd'}"]}, "schedule.call"),
    ],
)  # fmt: skip
def test_what_a_request_may_not_say_is_refused(
    asked_for: dict[str, Any], path: str, service: Served
) -> None:
    answer = service.client.post("/preview", json=asked_for)
    assert answer.status_code == 422
    assert path in {problem["path"] for problem in answer.json()["problems"]}
    assert str(Path.home()) not in answer.text


def test_what_the_server_was_started_to_allow_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n" + "1,2\n3,4\n" * 50)
    (tmp_path / "runs").mkdir()
    code = "schedule={kind: custom, call: 'tests.helpers.functions:tenth'}"
    options = {"code": ("tests.helpers",)}
    with served(tmp_path / "runs", tmp_path / "state", options=options) as service:
        assert "schedule.call" not in {
            problem["path"] for problem in asked(service, code).json().get("problems", [])
            if "allow_code" in problem["rule"]
        }  # fmt: skip
        outside = ["data=csv", f"data.path={tmp_path}/table.csv", "data.target=b"]
        answer = service.client.post("/preview", json={"overrides": outside})
        assert answer.json()["problems"][0]["path"] == "data.path"


def test_a_preview_that_takes_too_long_is_ended_and_the_next_one_works(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewer, "SECONDS", 0.0)
    assert asked(service).status_code == 503
    monkeypatch.undo()
    assert asked(service).status_code == 200


def test_a_worker_that_dies_costs_one_answer(service: Served) -> None:
    preview(service)
    process = service.service.previewer._process
    assert process
    process.kill()
    codes = {asked(service).status_code for _ in range(3)}
    assert codes <= {200, 500}
    assert asked(service).status_code == 200


def test_a_server_that_ends_leaves_no_worker_whoever_still_waits(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with served(tmp_path / "runs", tmp_path / "state") as service, ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(asked, service) for _ in range(3)]
        service.wait(lambda: service.service.previewer._waiting == 3)
        service.end()
        for one in waiting:
            assert one.exception() is not None or one.result().status_code in (200, 500, 503)
    assert service.service.previewer._process is None
    assert service.service.previewer._waiting == 0


@pytest.mark.parametrize(
    "body", [{"overides": []}, {"overrides": "x"}, {"points": 0}, {"from": -1}]
)
def test_a_request_that_is_not_understood_is_refused(body: Any, service: Served) -> None:
    assert service.client.post("/preview", json=body).status_code == 422


def test_kinds_schema_and_options_have_what_a_form_needs(service: Served) -> None:
    kinds = service.get("/kinds")
    fields = {f["name"]: f for f in kinds["groups"]["schedule"]["cosine"]["fields"]}
    assert fields["initial_value"]["required"] is True
    assert fields["initial_value"]["help"]
    assert {f["name"] for f in kinds["settings"]["run"]} >= {"length", "seed"}
    assert service.get("/schema")["$defs"]["linear"]["required"][0] == "kind"
    cosine = service.get("/options")["groups"]["schedule"]["cosine"]
    assert cosine["values"]["kind"] == "cosine"


def test_a_program_is_told_the_same(service: Served) -> None:
    client = Client(url=service.url, token=TOKEN)
    assert client.preview(["schedule=cosine", "run.length=9"])["total_steps"] == 9
    with pytest.raises(ClientError) as raised:
        client.preview(["schedule=cosin", "run.seed=null"])
    assert raised.value.problems[0].hint == "did you mean cosine?"
    with pytest.raises(ClientError) as raised:
        client.preview(["run.seed=null"])
    [problem] = asked(service, "run.seed=null").json()["problems"]
    assert str(raised.value) == problem["text"]
    assert problem["text"].startswith("run.seed = null: ")
