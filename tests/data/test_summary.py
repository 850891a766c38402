"""What a run says at its start of the data that it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.runs import plan
from trainer.commands.checks import preface
from trainer.data import Data
from trainer.data.sources.in_memory import GivenData
from trainer.data.summary import summary

X = np.random.default_rng(0).normal(size=(40, 2))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{a},{b},{['cat', 'dog'][i % 2]}\n" for i, (a, b) in enumerate(X))
    Path("a.csv").write_text("width,height,sort\n" + rows)
    np.savez("a.npz", inputs=X, labels=np.eye(3)[np.arange(40) % 3])
    np.savez("wide.npz", inputs=X, labels=np.arange(40) % 10)
    np.savez("rows.npz", inputs=X, labels=X)
    return tmp_path


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        (
            {"kind": "csv", "path": "a.csv", "target": "sort"},
            ["inputs    [2]: width, height", "labels    2 classes: 0 cat, 1 dog",
             "examples  32 to train, 8 held out: 0.2 of all, by seed 0"],
        ),
        (
            {"kind": "csv", "path": "a.csv", "target": "width", "inputs": ["height"],
             "held_out": {"fraction": 0.5, "seed": 3}},
            ["inputs    [1]: height", "labels    a number to predict: width",
             "examples  20 to train, 20 held out: 0.5 of all, by seed 3"],
        ),
        (
            {"kind": "npz", "path": "a.npz", "test": "a.npz"},
            ["inputs    [2]", "labels    3 classes, one-hot: 0 to 2",
             "examples  40 to train, 40 of its own to test"],
        ),
        (
            {"kind": "npz", "path": "rows.npz"},
            ["inputs    [2]", "labels    2 numbers to predict",
             "examples  32 to train, 8 held out: 0.2 of all, by seed 0"],
        ),
    ],
    ids=["names", "numbers", "one-hot", "rows"],
)  # fmt: skip
def test_what_is_said_is_what_is_trained_on(
    config: dict[str, Any], lines: list[str], here: Path
) -> None:
    data = Data.declared(config)
    assert summary(data) == lines
    split = data.load()
    assert f"{len(split.train)} to train, {len(split.test)} " in lines[2]


def test_a_run_begins_with_it(here: Path) -> None:
    text = preface(plan("data=csv", "data.path=a.csv", "data.target=sort", "data.batch_size=8"))
    assert text.splitlines()[1:4] == summary(
        Data.declared({"kind": "csv", "path": "a.csv", "target": "sort"})
    )


def test_of_many_names_some_are_said(here: Path) -> None:
    header = ",".join(f"x{i}" for i in range(30))
    row = ",".join(["0.5"] * 30)
    Path("wide.csv").write_text(f"{header},y\n" + f"{row},0\n{row},1\n" * 10)
    inputs, *_ = summary(Data.declared({"kind": "csv", "path": "wide.csv", "target": "y"}))
    assert inputs == "inputs    [30]: x0, x1, x2, x3, x4, x5, x6, x7 … 30 in all"


def test_inputs_alone_are_said_to_be_held_out_too() -> None:
    assert summary(GivenData().of(X.astype(np.float32))) == [
        "inputs    [2]",
        "labels    the inputs, to be given back",
        "examples  32 to train, 8 held out: 0.2 of all, by seed 0",
    ]
