"""Which experiments share a program, and which value of each then differs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from schedules import Schedule
from tests.helpers.runs import experiment
from trainer.sweeps.vectorized.grouping import (
    compile_key,
    constant_values,
    schedulable_paths,
    shared_experiment,
    value_at,
    why_not_vectorizable,
)


@pytest.mark.parametrize(
    "override",
    [
        "schedule=exponential",
        "warmup=linear",
        "run.seed=7",
        "run.length=70",
        "run.stop_after=3",
        "log.every=7",
        "evaluate.every=9",
        "checkpoint.every=11",
        "optimizer.momentum=0.3",
        "optimizer.momentum={kind:linear,initial_value:0.1,end_value:0.9}",
        "loss.label_smoothing=0.2",
        "model.dropout=0.5",
        "run.rewind_limit=7",
        "run.on_nonfinite=rewind",
    ],
)
def test_experiments_that_differ_in_numbers_are_alike(override: str) -> None:
    assert compile_key(experiment(override)) == compile_key(experiment())


@pytest.mark.parametrize(
    "override",
    [
        "optimizer=adam",
        "optimizer.clipnorm=1.0",
        "model.hidden=[17]",
        "model.activation=tanh",
        "data.batch_size=32",
        "data=mnist5k",
        "ema={momentum:0.9}",
        "run.micro_batches=2",
        "run.compile=xla",
        "run.steps_per_call=3",
        "run.on_nonfinite=skip",
        "run.precision=mixed_bfloat16",
        "optimizer.groups={'dense_1/*':{learning_rate_factor:0.5}}",
        "device=cpu",
    ],
)
def test_experiments_that_are_compiled_otherwise_are_not(override: str) -> None:
    override = override.replace("'dense_1/*':{", "first:{paths:['dense_1/*'],")
    assert compile_key(experiment(override)) != compile_key(experiment())


def test_what_is_scheduled_in_one_or_differs_is_scheduled_in_the_program_for_all() -> None:
    adam = ("optimizer=adam", "optimizer.beta_2=0.99")
    line = "optimizer.epsilon={kind:linear,initial_value:0.1,end_value:0.9}"
    runs = [experiment(*adam, "optimizer.beta_1=0.5"), experiment(*adam, line)]
    whole = shared_experiment(runs)
    assert isinstance(value_at(whole, ("optimizer", "beta_1")), Schedule)
    assert isinstance(value_at(whole, ("optimizer", "epsilon")), Schedule)
    assert value_at(whole, ("optimizer", "beta_2")) == 0.99, (
        "what all have in common stays constant"
    )
    assert constant_values(runs[0], whole) == {"beta_1": 0.5, "epsilon": 1e-7}
    assert constant_values(runs[1], whole) == {"beta_1": 0.9}
    assert shared_experiment([runs[0], runs[0]]) == runs[0]


def test_numbers_are_all_that_may_be_scheduled_and_is_there() -> None:
    found = set(schedulable_paths(experiment("optimizer.clipnorm=1.0")))
    assert {("optimizer", "momentum"), ("optimizer", "clipnorm"), ("model", "dropout")} <= found
    assert ("optimizer", "clipvalue") not in found


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("mode=lr_find", "mode=lr_find"),
        ("run.precision=mixed_float16", "mixed_float16"),
        ("run.profile={calls: 3}", "run.profile"),
        ("device=mirrored", "several devices"),
        ("init_from=elsewhere", "init_from"),
        ("optimizer.groups={first:{paths:['dense_1/*'],frozen_until:5}}", "group first is frozen"),
    ],
)
def test_some_share_a_program_with_no_other_and_say_why(override: str, why: str) -> None:
    assert why in (why_not_vectorizable(experiment(override)) or "")
    assert why_not_vectorizable(experiment()) is None


def test_telling_them_apart_needs_no_tensorflow() -> None:
    code = (
        "import sys, trainer.sweeps.vectorized.launcher; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_optimizer_that_is_built_by_code_of_its_own_shares_no_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = experiment("optimizer=adam")
    assert why_not_vectorizable(declared) is None
    monkeypatch.setattr(type(declared.optimizer), "build", lambda self, dials: None)
    assert (
        why_not_vectorizable(declared)
        == "optimizer=adam is built by code of its own, for one network alone"
    )
