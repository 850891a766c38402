"""What can't be honoured is refused before anything begins, and told to the letter."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules import Refused
from tests.helpers.runs import experiment, trained
from trainer.commands.checks import look_over
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.data import Examples, Facts, Preparation, Split

TOLD = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "refusals.yaml").read_text())


def validated(config: Any) -> Experiment:
    """Everything that is checked of a config before TensorFlow is imported."""
    declared = Experiment.declared(config)
    look_over(Plan.of(declared))
    return declared


def words(line: str) -> list[str]:
    """The overrides of a line, which are apart by spaces outside of brackets and quotes."""
    return re.findall(r"(?:\{.*\}|\[[^\]]*\]|'[^']*'|\S)+", line)


def test_the_table_is_long() -> None:
    assert len(TOLD) >= 120


@pytest.mark.parametrize("asked", TOLD)
def test_it_is_answered_to_the_letter(asked: str) -> None:
    with pytest.raises(Refused) as refused:
        validated(compose(["data=digits", "model=mlp", *words(asked)]))
    assert str(refused.value) == TOLD[asked]


@pytest.mark.parametrize(
    "asked", ["run.seed=lucky", "schedule=7", "run.length=1e17", "deep", "run"]
)
def test_the_command_exits_2_without_traceback_or_folder(asked: str, tmp_path: Path) -> None:
    asked = "run.seed=" + "[" * 500 + "]" * 500 if asked == "deep" else asked
    command = [sys.executable, "-m", "trainer", asked]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Traceback" not in refused.stderr
    assert "Error executing job" not in refused.stderr
    assert not list(tmp_path.rglob("*.*"))


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "trainer", f"hydra.run.dir={tmp_path}/file/run"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == f"{tmp_path}/file/run: Not a directory\n"


SHAPES = Facts.of(examples=4, shape=(2,), classes=3)
ASIS = Preparation.of(SHAPES.shape)
GOOD = (np.zeros((4, 2), np.float32), np.arange(4, dtype=np.int32) % 3)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (GOOD[0][:0], GOOD[1][:0], "data.train: has no examples"),
        (GOOD[0][:3], GOOD[1], "data.train: has 3 inputs and 4 labels"),
        (GOOD[0][:, :1], GOOD[1], r"data.train: has inputs of shape \[1\], not \[2\]"),
        (
            np.array([[0, 0], [0, np.nan], [0, 0], [np.inf, 0]], np.float32),
            GOOD[1],
            "data.train: has a value that is not finite, in example 1",
        ),
        (GOOD[0], GOOD[1] + 1, "data.train: has label 3 in example 2, outside 0 to 2"),
        (GOOD[0], GOOD[1] - 1, "data.train: has label -1 in example 0, outside 0 to 2"),
    ],
)
def test_data_that_can_not_be_learnt_from_is_told_with_its_example(
    inputs: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], message: str
) -> None:
    good = Examples(*GOOD)
    Split(good, good, ASIS).check(SHAPES)
    with pytest.raises(Refused, match=message):
        Split(Examples(inputs, labels), good, ASIS).check(SHAPES)
    with pytest.raises(Refused, match=message.replace("train", "test")):
        Split(good, Examples(inputs, labels), ASIS).check(SHAPES)


@pytest.mark.parametrize(
    ("asked", "message"),
    {
        ("model={kind: cnn, filters: [4, 4, 4, 4, 4]}",): "does not fit inputs of shape [8, 8, 1]",
        ("schedule=plateau", "schedule.metric=eval_los"): "did you mean eval_loss?",
        ("checkpoint.keep_best={metric: accuracy}",): "did you mean eval_accuracy?",
        ("device=gpu",): "TensorFlow finds no GPU on this machine",
        ("optimizer.groups={head: {weight_decay: 0}}",): "head = 'head': means no weight",
    }.items(),
)  # fmt: skip
def test_what_only_tensorflow_can_tell_is_refused_before_the_first_update(
    asked: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        trained(tmp_path, "run.length=5", *asked)
    assert message in str(refused.value)
    assert not (tmp_path / "result.json").exists()


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
GARBAGE = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
PLAIN = experiment("run.length=50").model_dump(mode="json")
PATHS = [
    (group, key) for group, values in PLAIN.items() if isinstance(values, dict) for key in values
] + [(group,) for group in PLAIN]


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(PATHS), GARBAGE, min_size=1, max_size=3))
def test_garbage_is_refused_cleanly_or_valid(garbage: dict[tuple[str, ...], Any]) -> None:
    config = {group: dict(v) if isinstance(v, dict) else v for group, v in PLAIN.items()}
    for path, value in garbage.items():
        group = config[path[0]]
        if len(path) == 1:
            config[path[0]] = value
        elif isinstance(group, dict):
            group[path[1]] = value
    with suppress(Refused):
        if Experiment.declared(config).total_steps() < 10**6:
            validated(config)


@settings(max_examples=50)
@given(GARBAGE)
def test_garbage_in_the_place_of_a_config_is_refused(garbage: Any) -> None:
    with pytest.raises(Refused):
        Experiment.declared(garbage)


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
)
COSTLY = {
    "bomb": (BOMB, "must have at most 20 aliases"),
    "deep": ("value: " + "[" * 3000 + "]" * 3000, "must not nest deeper than 50 levels"),
    "huge": ("# x\n" * 100_000, "is a config of more than 256 KiB"),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_a_file_that_costs_too_much_to_read_is_refused_quickly(kind: str, tmp_path: Path) -> None:
    (tmp_path / "schedule").mkdir()
    content, message = COSTLY[kind]
    (tmp_path / "schedule" / "mine.yaml").write_text(f"kind: constant\n{content}\n")
    began = time.perf_counter()
    with pytest.raises(Refused, match=message):
        compose(["schedule=mine"], str(tmp_path))
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("kind", COSTLY)
def test_so_is_one_that_stands_in_a_run_folder(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(COSTLY[kind][0])
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(Refused, match=COSTLY[kind][1]):
        trained(tmp_path)


def test_an_option_can_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text("kind: constant\nvalue: 1\n")
    (tmp_path / "mine" / "schedule").mkdir(parents=True)
    with pytest.raises(Refused, match="leads out of the folder of configs"):
        compose(["schedule=../../outside"], str(tmp_path / "mine"))


def test_code_runs_only_from_modules_that_are_allowed() -> None:
    asked = 'schedule={kind: custom, call: "tests.helpers.functions:one"}'
    for allowed in (
        "allow_code=true",
        "allow_code=[tests]",
        "allow_code=[tests.helpers.functions]",
    ):
        assert list(experiment(asked, allowed).code()) == [
            ("schedule.call", "tests.helpers.functions:one")
        ]
    for refused in (
        "allow_code=false",
        "allow_code=[test]",
        "allow_code=[tests.helpers.functions.one]",
    ):
        with pytest.raises(
            Refused, match=r"hint: read it first; .*allow_code=\[tests.helpers.functions\]"
        ):
            experiment(asked, refused)
