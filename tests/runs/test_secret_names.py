"""Which names and texts are a secret's."""

from __future__ import annotations

import pytest

from trainer.runs.secret_names import is_secret, logins, without_logins

SECRET = """
    token tokens hf_token apiToken access_token auth-token API_KEY api_keys apiKey APIKey key
    passwords password DB_PASSWORD db.password passwd pwd passphrase pass db_pass pat GITHUB_PAT
    secret client_secret aws_secret_access credentials auth basic_auth Authorization cookie cookies
    proxy-authorization session_cookie session_id sessionId private_key_pem
    data.kwargs.tokens.train
"""
ORDINARY = """
    key_dim tokenizer max_tokens num_tokens pad_token token_dim pass_through forward_pass
    passes path pattern patience patch compass bypass author authors authored monkey keypoints keys
    label_key kind seed session secretary cookbook num_heads keyboard data.token_dim
"""


@pytest.mark.parametrize("name", SECRET.split())
def test_a_name_is_a_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ORDINARY.split())
def test_a_name_only_looks_like_a_secrets(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://me:hunter2@host/", ["hunter2"]),
        ("postgresql+psycopg://me:p%40ss@host:5432/db?sslmode=require", ["p%40ss"]),
        ("redis://:hunter2@host", ["hunter2"]),
        ("https://ghp_TOKEN@host/x.git", ["ghp_TOKEN"]),
        ("https://host/?a=1&access_token=abc&sig=d%2Fe", ["abc", "d%2Fe"]),
        ("Server=x;User=me;Password=hunter2;Port=1", ["hunter2"]),
        ("host=x password='hunter 2' dbname=y", ["hunter 2"]),
        ("Bearer abcdefgh", ["abcdefgh"]),
        ("Authorization: Basic abc", ["Basic abc"]),
        ("http://host:80/a@b?tokenizer=x&max_tokens=3", []),
        ("ssh://git@host/x.git", []),
        ("abfss://container@account.example/", []),
        ("package.module:function", []),
        ("key_dim=3 path=/tmp", []),
    ],
)
def test_a_text_holds_a_secret(text: str, found: list[str]) -> None:
    assert logins(text) == found


def test_an_interpolation_in_an_address_is_no_secret_itself() -> None:
    text = "https://${secret:A}@host/?access_token=${secret:B}"
    assert logins(text) == []
    assert without_logins(text) == text
