"""Flags that Hydra does not know, or that lack their values."""

from __future__ import annotations

import pytest

from schedules import Refused
from trainer.config.hydra_flags import check_flags


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run.length=20"],
         "--run.length = '20': is no flag: overrides have no dashes\n  hint: run.length=20"),
        (["-schedule=cosine"],
         "-schedule = 'cosine': is no flag: overrides have no dashes\n  hint: schedule=cosine"),
        (["--seed", "3"], "--seed: is no flag\n  hint: did you mean run.seed?"),
        (["--epochs", "3"], "--epochs: is no flag\n  hint: run.length='5 epochs'"),
        (["--mutlirun"], "--mutlirun: is no flag\n  hint: did you mean --multirun?"),
        (["--config-dir"], "--config-dir/-cd: needs a value"),
        (["--resolve"],
         "--resolve: is for a config that is shown\n  hint: --cfg job --resolve"),
        (["--package", "run"],
         "--package = 'run': is for a config that is shown\n  hint: --cfg job --package run"),
        (["-m", "--info"], "--multirun --info: can't be together"),
        (["-m", "--run"], "--run --multirun: can't be together"),
        (["-m", "--cfg", "job", "--info"], "--multirun --cfg --info: can't be together"),
        (["--cfg", "jbo"], "--cfg/-c: invalid choice: 'jbo'"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_refused_with_what_to_type(words: list[str], message: str) -> None:
    with pytest.raises(Refused) as refused:
        check_flags(["data=digits", *words])
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    "words",
    [["-m"], ["--multi"], ["--cfg", "job"], ["--cfg=job"], ["-c", "job"], ["--info"], ["-h"],
     ["--config-dir", "mine", "run.seed=-1"], ["-cd", "mine"], ["~data"],
     ["-m", "--cfg", "job"], ["--cfg", "job", "--resolve", "--package", "run"],
     ["--help", "--resolve"], ["--hydra-help"]],
)  # fmt: skip
def test_every_flag_of_hydra_passes(words: list[str]) -> None:
    check_flags(["data=digits", *words])
