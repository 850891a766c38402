"""Words that Hydra can't read, each with a hint that mends it when it is followed."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from schedules import Refused
from tests.helpers.runs import SMALL
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.key_hints import FIRST_KEY_HINTS


def problem(*overrides: str) -> Any:
    """The only problem for which the overrides are refused."""
    with pytest.raises(Refused) as refused:
        Experiment.declared(compose([*SMALL, *overrides]))
    [only] = refused.value.problems
    return only


QUOTED = ["a/lr=0.1", "实验", "naïve", "a(1).csv", "~/x.csv", "it's", "x;y", "x!", "a#b", "x&y",
          "x^2", "<x>", "`x`", 'say "x', "µ"]  # fmt: skip


@pytest.mark.parametrize("value", QUOTED)
def test_a_value_that_wants_quotes_is_given_in_quotes(value: str) -> None:
    refused = problem(f"rerun={value}")
    assert (refused.path, refused.value) == ("rerun", value)
    assert "can't be read" in refused.rule
    assert "space" not in f"{refused.rule} {refused.hint}"
    assert refused.hint.startswith("quote the value: ")
    [quoted] = shlex.split(refused.hint.partition(": ")[2])
    followed = problem(quoted)
    assert (followed.value, followed.rule[:27]) == (value, "is not the folder of a run:")


@pytest.mark.parametrize(
    ("override", "hint"),
    {
        "warmup=null": "warmup=none",
        "cooldown=false": "cooldown=none",
        "export=null": "export=none",
        "+warmup=null": "warmup=none",
        "schedule={kind: cosine": "'schedule={kind: cosine, initial_value: 0.1}'",
        "schedule={kind:": "'schedule={kind: cosine, initial_value: 0.1}'",
        "schedule:cosine": "schedule=cosine",
        "conf/schedule/cosine.yaml": "schedule=cosine",
        "cosine_restarts": "schedule=cosine_restarts",
        "adamw": "optimizer=adamw",
        "+schedule=cosine": "schedule=cosine",
        "++schedule=cosine": "schedule=cosine",
        "seed=3": "run.seed",
        "+batch_size=32": "data.batch_size",
        "epochs=5": "run.length='5 epochs'",
        "run.epochs=20": "run.length='20 epochs'",
        "run.steps=0.5": "run.length=1000",
        "lr=0.1": "schedule=constant schedule.value=0.1",
        "learnig_rate=0.3": "schedule=constant schedule.value=0.3",
        "optimizer=AdamW": "adamw",
        "log=csv": "log.csv={}",
        "metrics=f1": "metrics.f1={}",
    }.items(),
)
def test_a_newcomers_words_are_answered_with_what_works(override: str, hint: str) -> None:
    refused = problem(override)
    assert hint in refused.hint
    if "=" in refused.hint:
        words = shlex.split(refused.hint.rpartition("as in ")[2])
        followed = [word for word in words if "=" in word]
        Experiment.declared(compose([*SMALL, *followed]))


@pytest.mark.parametrize("group", ["experiment", "warmup", "schedule", "hydra/launcher"])
@pytest.mark.parametrize("value", ["null", "true", "3", "0.5"])
def test_what_is_no_word_is_refused_by_the_group_that_it_was_given(group: str, value: str) -> None:
    refused = problem("run.seed=7", f"{group}={value}")
    assert (refused.path, refused.rule) == (group, "is no option of this group")


def test_no_experiment_is_what_is_left_out() -> None:
    assert problem("experiment=null").hint == "leave it out"


@pytest.mark.parametrize(
    ("override", "path", "hint"),
    [
        ("optimizer.clipnorm=choice(null,1.0)", "optimizer.clipnorm",
         "python -m trainer -m optimizer.clipnorm=null,1.0"),
        ("optimizer.clipnorm=null,1.0", "optimizer.clipnorm", "python -m trainer -m …; "
         "a list is written 'optimizer.clipnorm=[null,1.0]'"),
        ("run.seed=ragne(3)", "run.seed", "did you mean range?"),
        ("run.seed=range(a,b)", "run.seed", "such as run.seed=range(0,3)"),
        ("rerun=a,b/c", "rerun", "python -m trainer -m …; or quote the value: 'rerun=\"a,b/c\"'"),
    ],
)  # fmt: skip
def test_several_values_are_told_how_they_are_given(override: str, path: str, hint: str) -> None:
    refused = problem(override)
    assert (refused.path, refused.hint) == (path, hint)


@pytest.mark.parametrize("override", ["=3", "x y=3", "a..b=3", "ä=3"])
def test_a_key_that_can_not_be_read_is_told_as_one(override: str) -> None:
    assert problem(override).rule == "is no override: its key can't be read"


@pytest.mark.parametrize("word", sorted(FIRST_KEY_HINTS))
def test_every_hint_for_a_first_key_names_keys_that_there_are(word: str) -> None:
    hint = FIRST_KEY_HINTS[word]
    if hint.startswith("did you mean "):
        values = compose(SMALL)
        declared = Experiment.declared(values).model_dump()
        for path in hint.removeprefix("did you mean ").rstrip("?").split(" or "):
            section, key = path.split(".")
            assert key in declared[section]
    elif word != "experiment":
        Experiment.declared(compose([*SMALL, *shlex.split(hint)]))


def test_a_variable_that_is_not_set_is_told_with_the_key_that_wants_it() -> None:
    refused = problem("run.length=${oc.env:NOT_SET_ANYWHERE}")
    assert refused.path == "run.length"
    assert refused.rule == "Environment variable 'NOT_SET_ANYWHERE' not found"
    assert refused.hint == "export NOT_SET_ANYWHERE=…"
