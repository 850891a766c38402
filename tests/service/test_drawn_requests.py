"""Requests drawn over the whole contract: none makes the server fail, or say what it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel, ValidationError

from tests.helpers.queued import stand_ins
from tests.helpers.served import TOKEN, make_run, rows, served
from trainer.service.api import (
    design_routes,
    order_routes,
    queue_routes,
    submission_routes,
    task_routes,
)

MODULES = (design_routes, order_routes, queue_routes, submission_routes, task_routes)
REQUESTS = [
    found
    for module in MODULES
    for found in vars(module).values()
    if isinstance(found, type)
    and issubclass(found, BaseModel)
    and found.__module__ == module.__name__
    and found.model_config.get("extra") == "forbid"
]
OTHERS: dict[str, list[Any]] = {
    "a flag": [True, False], "a number": [3, 2.5], "a text": ["3", "true"], "a list": [[]],
}  # fmt: skip


def kinds(value: Any) -> str:
    match value:
        case bool():
            return "a flag"
        case int() | float():
            return "a number"
        case str():
            return "a text"
    return "a list"


def test_all_requests_are_known() -> None:
    assert {"QueueChange", "RunChange", "PreviewRequest", "SubmissionRequest", "OrdersRequest"} <= {
        one.__name__ for one in REQUESTS
    }


@pytest.mark.parametrize("request_model", REQUESTS, ids=lambda one: str(one.__name__))
def test_no_value_of_json_is_taken_for_another(request_model: type[BaseModel]) -> None:
    """A flag is no number, and a number no text, whatever Python thinks of it."""
    for name, field in request_model.model_fields.items():
        for kind, values in OTHERS.items():
            for value in values:
                try:
                    taken = request_model.model_validate({field.alias or name: value})
                except ValidationError:
                    continue
                assert kinds(getattr(taken, name)) == kind, (name, value)


def lists(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if "list" in str(field.annotation):
            yield field.alias or name


@pytest.mark.parametrize("request_model", REQUESTS, ids=lambda one: str(one.__name__))
def test_no_flag_is_taken_for_what_a_list_holds(request_model: type[BaseModel]) -> None:
    for name in lists(request_model):
        for value in (True, False, None):
            with pytest.raises(ValidationError):
                request_model.model_validate({name: [value]})


CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,ignored_auth"

FEW = [
    ("PATCH", "/api/v1/queue"), ("GET", "/api/v1/runs"), ("POST", "/api/v1/runs/{run}/orders"),
]  # fmt: skip
"""Operations that answer at once: none has a worker start."""
SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))

BEARER = {"Authorization": f"Bearer {TOKEN}"}
APART = "events|exports|predictions"
"""A stream has no end, and of the others two may run at a time."""


def test_a_few_drawn_requests_are_answered_as_the_contract_says(tmp_path: Path) -> None:
    import schemathesis  # which takes half a second
    from schemathesis.checks import load_all_checks

    load_all_checks()
    checks = schemathesis.checks.CHECKS.get_by_names(CHECKS.split(","))
    (tmp_path / "runs").mkdir()
    with served(tmp_path / "runs", tmp_path / "state") as service:
        document = service.stranger.get("/openapi.json", headers=BEARER).json()
        contract = schemathesis.openapi.from_dict(document)
        contract.config.update(base_url=service.url)
        for method, path in FEW:

            @settings(max_examples=3, derandomize=True, database=None, deadline=None,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            @given(case=contract[path][method].as_strategy())
            def asked(case: Any) -> None:
                answer = case.call(headers=BEARER)
                case.validate_response(answer, checks=checks, headers=BEARER)

            asked()


@pytest.mark.slow
def test_whatever_is_asked_is_answered_as_the_contract_says(tmp_path: Path) -> None:
    make_run(tmp_path / "runs/a", rows(30))
    with stand_ins(), served(tmp_path / "runs", tmp_path / "state") as service:
        run = service.ids()["a"]
        parameters = tmp_path / "schemathesis.toml"
        parameters.write_text(f'[parameters]\n"path.run" = "{run}"\n')
        drawn = subprocess.run(
            [SCHEMATHESIS, "--config-file", str(parameters), "run", f"{service.url}/openapi.json",
             "-H", f"Authorization: Bearer {TOKEN}", "--exclude-path-regex", APART,
             "--exclude-method", "DELETE", "--checks", CHECKS, "--max-examples", "20",
             "--phases", "fuzzing", "--continue-on-failure", "--no-color"],
            capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
    assert drawn.returncode == 0, drawn.stdout[-8000:]
