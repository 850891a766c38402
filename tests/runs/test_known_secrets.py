"""Texts without the secrets that a process knows."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.declaration import Refused, refuse
from trainer.runs.known_secrets import (
    forget_all,
    is_searched,
    know,
    know_environment,
    veil,
    veil_file,
    veil_tree,
    veiled_refusals,
)

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]),
                  min_size=8, max_size=20).filter(is_searched)  # fmt: skip


@given(SECRETS, st.binary(max_size=5), st.binary(max_size=5))
def test_a_secret_is_found_however_it_is_written(secret: str, before: bytes, behind: bytes) -> None:
    forget_all()
    know(secret)
    for spelt in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(repr(secret)),
                  quote(secret), quote_plus(secret), repr(secret.encode())):  # fmt: skip
        assert veil(f"a {spelt} b") != f"a {spelt} b"
        assert spelt not in veil(f"a {spelt} b")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + secret.encode() + behind).decode()
        assert "***" in veil(encoded)
    forget_all()


@pytest.mark.parametrize("common", ["1", "true", "a", "none", "digits", "12345678", "1e-5"])
def test_what_is_short_or_a_number_veils_nothing(common: str) -> None:
    know(common)
    text = f"a run of {common} with {common}"
    assert veil(text) == text


def test_each_long_line_of_a_secret_is_one() -> None:
    know("-----BEGIN-----\nMIIabcdefgh\n-----END-----\n")
    assert veil("the line MIIabcdefgh") == "the line ***"


def test_variables_that_no_config_reads_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abcdefghijklmnop")
    monkeypatch.setenv("SSH_AUTH", "/tmp/abcdefghijklmnop")
    monkeypatch.setenv("OTHER_TOKEN", "a-short-one")
    know_environment()
    assert veil("abcdefghijklmnop") == "***"
    assert veil("a-short-one of /tmp/socket") == "a-short-one of /tmp/socket"


def test_trees_files_and_refusals_are_veiled(tmp_path: Path) -> None:
    know("hunter2")
    assert veil_tree({"a": ["hunter2", 1, None, ("x",)]}) == {"a": ["***", 1, None, ["x"]]}
    (tmp_path / "log").write_bytes(b"by hunter2 \xff\n")
    veil_file(tmp_path / "log")
    veil_file(tmp_path / "missing")
    assert (tmp_path / "log").read_bytes() == b"by *** \xff\n"
    (tmp_path / "log").write_bytes(b"hunter2\nand hunter2\n")
    veil_file(tmp_path / "log", start=8)
    assert (tmp_path / "log").read_bytes() == b"hunter2\nand ***\n"
    with pytest.raises(Refused, match=r"^a = '\*\*\*': is no \*\*\*") as refused, veiled_refusals():
        raise refuse("a", "hunter2", "is no hunter2")
    assert refused.value.problems[0].value == "***"


def test_a_refusal_without_secrets_stays_itself() -> None:
    raised = refuse("a", 1, "is wrong")
    with pytest.raises(Refused) as refused, veiled_refusals():
        raise raised
    assert refused.value is raised
