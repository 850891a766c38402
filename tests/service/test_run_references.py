"""Runs that overrides name by their ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.served import WHOLE_CONFIG, make_run, rows, served
from trainer.service.run_references import PLACES, with_folders


@pytest.mark.parametrize("key", PLACES)
def test_an_id_stands_for_what_its_key_reads_and_nothing_else_does(key: str) -> None:
    known = {"0123456789abcdef": Path("/runs/it's, so=1")}
    given = [f"{key}=0123456789abcdef", f"+{key}=0123456789abcdef", f"{key}=fedcba9876543210",
             f"{key}=outputs/run", "run.seed=0123456789abcdef"]  # fmt: skip
    file = "/events.jsonl" if key == "run.replay" else ""
    quoted = rf"'/runs/it\'s, so=1{file}'"
    expected = [f"{key}={quoted}", f"+{key}={quoted}", *given[2:]]
    assert with_folders(given, known.get) == expected


def test_a_run_in_a_folder_with_any_name_is_previewed_again_by_its_id(tmp_path: Path) -> None:
    make_run(tmp_path / "runs/a=1, it's b", rows(3), "done", WHOLE_CONFIG % (77, 1))
    with served(tmp_path / "runs", tmp_path / "state") as service:
        run = service.ids()["a=1, it's b"]
        asked = {"overrides": [f"rerun={run}", "run.seed=2"]}
        answer = service.client.post("/preview", json=asked)
        assert answer.json()["total_steps"] == 77


@pytest.mark.slow
def test_what_is_replayed_is_submitted_by_its_id_as_it_is_previewed(tmp_path: Path) -> None:
    path = make_run(tmp_path / "runs/steered by hand", rows(3), "done", WHOLE_CONFIG % (77, 1))
    event = {"step": 2, "event": "command", "orders": ["learning_rate=0.25"], "id": "x",
             "rewinds": 0, "time": 1.0}  # fmt: skip
    (path / "events.jsonl").write_text(json.dumps(event) + "\n")
    with served(tmp_path / "runs", tmp_path / "state") as service:
        run = service.ids()["steered by hand"]
        asked = {"overrides": [f"rerun={run}", f"run.replay={run}", "run.seed=5"]}
        assert service.client.post("/preview", json=asked).json()["total_steps"] == 77
        answer = service.client.post("/runs?dry=1", json=asked)
        assert answer.status_code == 200, answer.text
        assert [one["total_steps"] for one in answer.json()["runs"]] == [77]
