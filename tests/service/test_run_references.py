"""Runs that overrides name by their ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.served import make_run, rows, served
from trainer.service.run_references import KEYS, with_folders

CONFIG = """\
run: {length: 77, seed: 1}
schedule: {kind: cosine, initial_value: 0.5}
optimizer: {kind: sgd}
model: {kind: mlp}
data: {kind: digits, batch_size: 64}
device: {kind: auto}
"""


@pytest.mark.parametrize("key", KEYS)
def test_an_id_stands_for_the_folder_of_its_run_and_nothing_else_does(key: str) -> None:
    known = {"0123456789abcdef": Path("/runs/it's, so=1")}
    given = [f"{key}=0123456789abcdef", f"+{key}=0123456789abcdef", f"{key}=fedcba9876543210",
             f"{key}=outputs/run", "run.seed=0123456789abcdef"]  # fmt: skip
    quoted = r"'/runs/it\'s, so=1'"
    expected = [f"{key}={quoted}", f"+{key}={quoted}", *given[2:]]
    assert with_folders(given, known.get) == expected


def test_a_run_in_a_folder_with_any_name_is_previewed_again_by_its_id(tmp_path: Path) -> None:
    make_run(tmp_path / "runs/a=1, it's b", rows(3), "done", CONFIG)
    with served(tmp_path / "runs", tmp_path / "state") as service:
        run = service.ids()["a=1, it's b"]
        asked = {"overrides": [f"rerun={run}", "run.seed=2"]}
        answer = service.client.post("/preview", json=asked)
        assert answer.json()["total_steps"] == 77
