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
from tests.helpers.runs import SMALL, experiment, trained
from trainer.commands.checks import look_over
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.data import Examples, Facts, Preparation, Split
from trainer.runs.redaction import (
    is_secret,
    secret_placeholders,
    with_placeholders,
    with_secrets_in_environment,
)

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


SHAPES = Facts(examples=4, shape=(2,), classes=3)
ASIS = Preparation(SHAPES.shape)
GOOD = (np.zeros((4, 2), np.float32), np.arange(4, dtype=np.int32) % 3)


@pytest.mark.parametrize(
    ("inputs", "labels", "told"),
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
    inputs: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], told: str
) -> None:
    good = Examples(*GOOD)
    Split(good, good, ASIS).check(SHAPES)
    with pytest.raises(Refused, match=told):
        Split(Examples(inputs, labels), good, ASIS).check(SHAPES)
    with pytest.raises(Refused, match=told.replace("train", "test")):
        Split(good, Examples(inputs, labels), ASIS).check(SHAPES)


@pytest.mark.parametrize(
    ("asked", "told"),
    {
        ("model={kind: cnn, filters: [4, 4, 4, 4, 4]}",): "does not fit inputs of shape [8, 8, 1]",
        ("schedule=plateau", "schedule.metric=eval_los"): "did you mean eval_loss?",
        ("checkpoint.keep_best={metric: accuracy}",): "did you mean eval_accuracy?",
        ("device=gpu",): "TensorFlow finds no GPU on this machine",
        ("optimizer.groups={head: {weight_decay: 0}}",): "head = 'head': means no weight",
    }.items(),
)  # fmt: skip
def test_what_only_tensorflow_can_tell_is_refused_before_the_first_update(
    asked: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        trained(tmp_path, "run.length=5", *asked)
    assert told in str(refused.value)
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
    content, told = COSTLY[kind]
    (tmp_path / "schedule" / "mine.yaml").write_text(f"kind: constant\n{content}\n")
    began = time.perf_counter()
    with pytest.raises(Refused, match=told):
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


def test_secrets_are_told_by_their_names() -> None:
    secret = ["password", "DB_PASSWORD", "apiKey", "api_key", "auth-token", "aws_secret_access"]
    assert [is_secret(name) for name in secret] == [True] * 6
    assert not any(map(is_secret, ["monkey", "keypoints", "seed", "kind", "tokenizer"]))


def test_secrets_on_the_command_line_become_variables_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TRAINER_SECRET_TOKEN", "TRAINER_SECRET_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that what is set here is taken back
        monkeypatch.delenv(name)
    asked = ["a.token=hunter2", "b={kwargs: {password: 'x y', n: 3}, k: v}", "c.token=${oc.env:T}"]
    assert list(with_secrets_in_environment(asked)) == [
        "a.token=${oc.env:TRAINER_SECRET_TOKEN}",
        'b={kwargs: {password: "${oc.env:TRAINER_SECRET_PASSWORD}", n: 3}, k: v}',
        "c.token=${oc.env:T}",
    ]


def test_what_stands_for_a_secret_is_what_leads_to_it() -> None:
    tree = {"kwargs": {"token": "hunter2", "n": "${oc.env:DB_PASSWORD}", "m": [{"key": 1}]},
            "home": "${oc.env:HOME}"}  # fmt: skip
    instead = secret_placeholders(tree)
    assert instead == {
        ("kwargs", "token"): "???",
        ("kwargs", "n"): "${oc.env:DB_PASSWORD}",
        ("kwargs", "m", 0, "key"): "???",
    }
    resolved = {"kwargs": {"token": "hunter2", "n": "x", "m": [{"key": 1}]}, "home": "/root"}
    assert with_placeholders(resolved, instead)["kwargs"] == {
        "token": "???", "n": "${oc.env:DB_PASSWORD}", "m": [{"key": "???"}]
    }  # fmt: skip


def test_a_password_in_an_address_is_a_secret_wherever_it_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TRAINER_SECRET_URI", "TRAINER_SECRET_URI_"):
        monkeypatch.setenv(name, "")  # so that what is set here is taken back
        monkeypatch.delenv(name)
    asked = ["a.uri=http://me:hunter2@x/", "b={uri: 'db://me:y@x/z', n: 3}", "c.uri=http://x:80/"]
    told = [
        'a.uri="${oc.env:TRAINER_SECRET_URI}"',
        'b={uri: "${oc.env:TRAINER_SECRET_URI_}", n: 3}',
        asked[2],
    ]
    assert (
        list(with_secrets_in_environment(asked)) == list(with_secrets_in_environment(asked)) == told
    )
    tree = {"uri": "${oc.env:DATABASE}", "plain": "db://me:y@x/", "all": "${other}", "n": 1}
    resolved = {"uri": "db://me:y@x/", "plain": "db://me:y@x/", "all": {"token": "y"}, "n": 1}
    instead = secret_placeholders(tree, resolved)
    assert with_placeholders(resolved, instead) == {
        "uri": "${oc.env:DATABASE}", "plain": "???", "all": {"token": "???"}, "n": 1,
    }  # fmt: skip


@pytest.mark.parametrize("multirun", [False, True])
@pytest.mark.parametrize("written", ["PLANTED-hunter2", "${oc.env:MY_API_TOKEN}"])
def test_a_planted_secret_is_found_nowhere(written: str, multirun: bool, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def rate(steps, token):\n"
        "    assert token == 'PLANTED-hunter2'\n"
        "    return steps * 0 + 0.01\n"
    )
    kwargs = f'{{token: "{written}"}}'
    asked = [f'schedule={{kind: custom, call: "mine:rate", kwargs: {kwargs}}}', "allow_code=[mine]",
             "run.length=3", "run.seed=1,2" if multirun else "run.seed=1"]  # fmt: skip
    kind = "sweep" if multirun else "run"
    where = [f"hydra.{kind}.dir={tmp_path}/run", *(["-m"] if multirun else [])]
    command = [sys.executable, "-m", "trainer", *SMALL, *asked, *where]
    environment = {"PATH": "/usr/bin:/bin", "MY_API_TOKEN": "PLANTED-hunter2",
                   "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "runs code that the config names: mine:rate" in done.stdout
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if b"PLANTED" in path.read_bytes()]
    assert not [path for path in (tmp_path / "run").rglob("*") if "PLANTED" in path.name]
    assert "PLANTED" not in done.stdout
    if not multirun:
        again = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (again.returncode, again.stderr) == (0, "")
        assert "done at step 3" in again.stdout
