"""What the files of a run say in the place of secrets."""

from __future__ import annotations

import pytest

from trainer.runs.redaction import (
    absences,
    secret_placeholders,
    with_placeholders,
    with_secrets,
)


def test_what_stands_for_a_secret_is_what_leads_to_it() -> None:
    tree = {"kwargs": {"token": "hunter2", "n": "${oc.env:DB_PASSWORD}", "m": [{"key": "x"}]},
            "home": "${oc.env:HOME}", "tokens": {"a": ["y"], "n": 1, "none": None}}  # fmt: skip
    resolved = {"kwargs": {"token": "hunter2", "n": "x", "m": [{"key": "x"}]}, "home": "/root",
                "tokens": {"a": ["y"], "n": 1, "none": None}}  # fmt: skip
    assert with_placeholders(resolved, secret_placeholders(tree, resolved)) == {
        "kwargs": {"token": "???", "n": "${oc.env:DB_PASSWORD}", "m": [{"key": "???"}]},
        "home": "/root", "tokens": {"a": ["???"], "n": 1, "none": None},
    }  # fmt: skip


def test_numbers_and_flags_are_no_secrets_but_passwords_may_be() -> None:
    assert secret_placeholders({"token": 16, "key": True, "auth": 0.5}) == {}
    assert secret_placeholders({"password": 1234, "secret": True}) == {("password",): "???"}


@pytest.mark.parametrize("secret", ["swordfish", "x"])
def test_a_secret_is_one_under_every_key_that_reads_it(secret: str) -> None:
    tree = {"a": {"token": secret}, "b": "${a.token}", "c": "by ${a.token}", "all": "${a}"}
    resolved = {"a": {"token": secret}, "b": secret, "c": f"by {secret}", "all": {"token": secret}}
    placeholders = secret_placeholders(tree, resolved)
    assert placeholders[("b",)] == "${a.token}"
    assert placeholders[("all", "token")] == "${a.token}"
    if secret == "swordfish":  # a short one is told from a text around it by nobody
        assert placeholders[("c",)] == "by ${a.token}"


def test_a_login_in_an_address_is_a_secret_wherever_it_comes_from() -> None:
    tree = {"uri": "${oc.env:DATABASE}", "plain": "db://me:y@x/", "all": "${other}", "n": 1}
    resolved = {"uri": "db://me:y@x/", "plain": "db://me:y@x/", "all": {"token": "y"}, "n": 1}
    placeholders = secret_placeholders(tree, resolved)
    assert with_placeholders(resolved, placeholders) == {
        "uri": "${oc.env:DATABASE}", "plain": "???", "all": {"token": "${other.token}"}, "n": 1,
    }  # fmt: skip


def test_secrets_come_back_where_they_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "x")
    written = {"token": "???", "list": [{"key": "${secret:GONE}"}], "n": "${oc.env:A_TOKEN}"}
    assert list(absences(written)) == [(("token",), ""), (("list", 0, "key"), "GONE")]
    values = {"token": "hunter2", "list": [{"key": "k"}], "n": "x", "more": 1}
    assert with_secrets(written, values) == {"token": "hunter2", "list": [{"key": "k"}], "n": "x"}
