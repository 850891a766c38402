"""Secrets in overrides and config files, and everything else, which stays as it was."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from schedules import Refused
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose, to_plain
from trainer.config.secret_values import (
    absent_secrets,
    move_secrets_of_file,
    with_secrets_in_environment,
)
from trainer.runs.known_secrets import veil
from trainer.sweeps.grid import combinations


def values_of(override: str) -> list[Any]:
    """The values that an override gives its key, in each job of a sweep."""
    [moved] = with_secrets_in_environment([override])
    jobs = [OverridesParser.create().parse_override(one) for (one,) in combinations([moved])]
    configs = [OmegaConf.create({"value": job.value()}) for job in jobs]
    return [OmegaConf.to_container(config, resolve=True)["value"] for config in configs]


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("a.token=hunter2", ["hunter2"]),
        ("a.token=hunter2,hunter3", ["hunter2", "hunter3"]),
        ("a.token=choice(hunter2,'hunter 3')", ["hunter2", "hunter 3"]),
        ("++a.tokens=[hunter2,{b: x, n: 1}]", [["hunter2", {"b": "x", "n": 1}]]),
        ("a={password: pa$word}", [{"password": "pa$word"}]),
        ("a={token: a b, n: 3},{token: c}", [{"token": "a b", "n": 3}, {"token": "c"}]),
        ("a.token=abc==", ["abc=="]),
        ("a.password='it\\'s \"x\"'", ['it\'s "x"']),
        ("a.password=123456,7", [123456, 7]),
        ("a.token='16'", ["16"]),
        ("a.uri=db://me:hunter2@host/m", ["db://me:hunter2@host/m"]),
        (
            "a={url: 'https://h/?access_token=m&page=m'}",
            [{"url": "https://h/?access_token=m&page=m"}],
        ),
    ],
)
def test_a_secret_arrives_as_it_was_typed_and_stands_nowhere(
    override: str, values: list[Any]
) -> None:
    [moved] = with_secrets_in_environment([override])
    assert moved != override
    assert "hunter" not in moved
    assert values_of(override) == values
    for (job,) in combinations([moved]):  # as a launcher gives it to another process
        assert list(with_secrets_in_environment([job])) == [job]


@pytest.mark.parametrize(
    "override",
    ["model.kwargs.key_dim=16", "model.kwargs.key_dim=16,32", "a.token=16,32", "a.key=true",
     "a.token=null", "a.token=", "~a.token", "a.token=${oc.env:HOME}", "a.max_tokens=a,b",
     "a={tokenizer: bpe, path: 'x, y'}", "schedule=cosine", "--config-dir=x", "c=http://x:80/"],
)  # fmt: skip
def test_what_is_no_secret_stays_to_the_letter(override: str) -> None:
    assert list(with_secrets_in_environment([override])) == [override]


NAMES = st.sampled_from(["key_dim", "max_tokens", "tokenizer", "pattern", "author", "a", "path"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters="$=:\\@"),
            max_size=9),
)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)


@given(NAMES, TREES)
def test_values_of_other_names_pass_unchanged(name: str, tree: Any) -> None:
    config = OmegaConf.create({name: tree})
    move_secrets_of_file(config)
    assert OmegaConf.to_container(config, resolve=False) == {name: tree}
    if isinstance(tree, (bool, int, float)):
        assert values_of(f"{name}={tree}") == [tree]
        [value] = values_of(f"token={tree}")
        assert (type(value), value) == (type(tree), tree)


def test_the_secrets_of_a_file_are_moved_and_its_sweeps_stay_sweeps() -> None:
    config = OmegaConf.create({
        "kwargs": {"token": "hunter2", "n": 3, "tokens": ["a", 1], "copy": "${kwargs.token}"},
        "uri": "db://me:hunter3@host",
        "hydra": {"sweeper": {"params": {"a.token": "hunter4,hunter5", "a.n": "1,2"}}},
    })  # fmt: skip
    before = OmegaConf.to_container(config, resolve=True)
    move_secrets_of_file(config)
    text = OmegaConf.to_yaml(config)
    assert "hunter" not in text
    after = OmegaConf.to_container(config, resolve=True)
    params = after.pop("hydra")["sweeper"]["params"]
    assert values_of(f"a.token={params['a.token']}") == ["hunter4", "hunter5"]
    assert params["a.n"] == "1,2"
    assert after == {key: value for key, value in before.items() if key != "hydra"}
    assert config.hydra.sweeper.params.__dict__["_content"]["a.token"]._value().count("${") == 2


def test_any_value_can_be_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAIN", "something long")
    asked = ["schedule={kind: custom, call: 'math:cos', kwargs: {a: '${secret:PLAIN}'}}",
             "allow_code=true"]  # fmt: skip
    experiment = Experiment.composed(*asked)
    assert experiment.schedule.kwargs == {"a": "something long"}
    assert experiment.placeholders == {("schedule", "kwargs", "a"): "${secret:PLAIN}"}
    nested = Experiment.composed({"schedule": {"kind": "custom", "call": "math:cos",
                                               "kwargs": {"b": ["x ${secret:PLAIN}"]}}},
                                 "allow_code=true")  # fmt: skip
    assert nested.schedule.kwargs == {"b": ["x something long"]}
    assert nested.placeholders == {("schedule", "kwargs", "b", 0): "x ${secret:PLAIN}"}
    assert veil("something long") == "***"


def test_every_absent_secret_is_asked_for_at_once() -> None:
    tree = {"a": {"token": "???", "b": ["${secret:NOT_HERE}"]}, "c": "${oc.env:NO_TOKEN,default}"}
    assert [str(problem) for problem in absent_secrets(tree)] == [
        "a.token: must be given anew: the files of a run hold no secrets\n  hint: a.token=…",
        "a.b[0]: is a secret, and NOT_HERE of the environment is not set\n"
        "  hint: export NOT_HERE=…, or a.b=…",
    ]
    with pytest.raises(Refused, match="NOT_HERE"):
        to_plain(OmegaConf.create({"b": "${secret:NOT_HERE}"}))


def test_a_refusal_of_a_program_tells_no_secret() -> None:
    for ask in (Experiment.composed, lambda *asked: compose(asked)):
        with pytest.raises(Refused) as refused:
            ask("schedule.kwargs={token: hunter2, 'x")
        assert "hunter2" not in str(refused.value)
    assert not [name for name in os.environ if name.startswith("TRAINER_SECRET")]
