"""What looks like a secret: names of keys and variables, and logins within addresses and texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

ANYWHERE = {
    "password", "passwords", "passwd", "pwd", "passphrase", "passphrases", "passcode",
    "secret", "secrets", "credential", "credentials", "creds", "authorization", "cookie", "cookies",
    "jwt", "apikey", "apikeys", "authtoken", "accesstoken", "sessionid", "privatekey",
}  # fmt: skip
"""A name with one of these words in it is a secret's."""

TOGETHER = {
    ("api", "key"), ("api", "keys"), ("access", "key"), ("access", "keys"), ("private", "key"),
    ("private", "keys"), ("signing", "key"), ("encryption", "key"), ("encryption", "keys"),
    ("session", "id"), ("session", "ids"), ("session", "key"), ("connection", "string"),
}  # fmt: skip
"""A name with two of these words side by side is a secret's."""

LAST = {"token", "tokens", "key", "auth", "pass", "pat"}
"""A name that ends in one of these words is a secret's: `hf_token`, and not `token_dim`."""

ORDINARY = {
    "max", "min", "num", "number", "n", "total", "per", "new", "first", "last", "second",
    "pad", "eos", "bos", "unk", "cls", "sep", "mask", "special", "start", "end", "stop", "oov",
    "input", "output", "prompt", "completion", "image", "text", "label", "target", "feature",
    "primary", "foreign", "sort", "group", "partition", "cache", "index", "row", "column", "data",
    "query", "value", "metric", "batch", "sample", "forward", "backward", "single", "one", "two",
    "multi", "high", "low", "band",
}  # fmt: skip
"""Words before one of those with which the name is no secret's: `max_tokens`, `forward_pass`."""

NUMERIC = {"password", "passwd", "pwd", "passphrase", "passcode", "secret"}
"""Where a name ends in one of these words, a number is a secret too."""

_PARAMETERS = {"sig", "signature"}
"""Parameters of addresses that are secrets besides: those of presigned ones."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LOGIN = re.compile(r"(?<=://)[^/\s:@]*:(?P<password>[^/\s@]+)@|(?<=https://)[^/\s:@]+@|"
                    r"(?<=http://)[^/\s:@]+@")  # fmt: skip
_PARAMETER = re.compile(r"(?P<sign>[?&](?P<name>[\w.-]+)=)(?P<value>[^\s&#'\"]+)")
_ASSIGNMENT = re.compile(
    r"""(?P<name>[\w.-]+)\s*=\s*(?P<value>"[^"]+"|'[^']+'|[^\s&;,'"<>)\]}]+)"""
)
_INTERPOLATION = re.compile(r"\$\{[^{}]*\}")
_HEADER = re.compile(r"\bBearer\s+(\S{8,})|\bAuthorization\s*:\s*(\S.*)", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a key, an override path or the name of an environment variable is a secret's.

    >>> [name for name in ("WANDB_API_KEY", "apiToken", "monkey", "key_dim") if is_secret(name)]
    ['WANDB_API_KEY', 'apiToken']
    >>> is_secret("data.kwargs.tokens.train")
    True
    """
    return any(map(_are_secret, map(_words, name.split("."))))


def _are_secret(words: Sequence[str]) -> bool:
    if not ANYWHERE.isdisjoint(words) or not TOGETHER.isdisjoint(pairwise(words)):
        return True
    return bool(words) and words[-1] in LAST and not (words[:-1] and words[-2] in ORDINARY)


def is_numeric_secret(name: str) -> bool:
    """Whether even a number is a secret under this name.

    >>> is_numeric_secret("db_password"), is_numeric_secret("token")
    (True, False)
    """
    return _words(name)[-1:] != [] and _words(name)[-1] in NUMERIC


def login_spans(text: str) -> list[tuple[int, int]]:
    """Where the secret parts of a config's text are, as `logins` gives them; none overlap."""
    text = _INTERPOLATION.sub(lambda one: "\0" * len(one[0]), text)
    spans = [
        login.span("password") if login["password"] else (login.start(), login.end() - 1)
        for login in _LOGIN.finditer(text)
    ]
    for assignment in _ASSIGNMENT.finditer(text):
        if _is_parameter(assignment["name"]):
            quotes = assignment["value"][0] in "'\""
            start, stop = assignment.span("value")
            spans.append((start + quotes, stop - quotes))
    spans += [header.span(header.lastindex or 0) for header in _HEADER.finditer(text)]
    apart: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        is_apart = not apart or start >= apart[-1][1]
        if start < stop and is_apart and "\0" not in text[start:stop]:
            apart.append((start, stop))
    return apart


def logins(text: str) -> list[str]:
    """The secret parts of a config's text: of an address, a list of assignments or a header.

    >>> logins("postgres://me:hunter2@host/db"), logins("https://ghp_x1@host/")
    (['hunter2'], ['ghp_x1'])
    >>> logins("https://host/?access_token=abc&page=2"), logins("http://host:80/")
    (['abc'], [])
    >>> logins("host=db user=me password='x y'"), logins("Bearer abcdefgh")
    (['x y'], ['abcdefgh'])
    >>> logins("db://${oc.env:USER}:abc@host/"), logins("db://me:${secret:PASSWORD}@host/")
    (['abc'], [])
    """
    return [text[start:stop] for start, stop in login_spans(text)]


def without_logins(text: str, mask: str = "***") -> str:
    """A text without the logins of the addresses in it, whatever they are.

    >>> without_logins("no route to http://me:hunter2@host/?access_token=abc")
    'no route to http://***@host/?access_token=***'
    """
    if "://" not in text:
        return text

    def masked_login(login: re.Match[str]) -> str:
        return login[0] if "${" in login[0] else f"{mask}@"

    def masked_parameter(parameter: re.Match[str]) -> str:
        is_ordinary = not _is_parameter(parameter["name"]) or "${" in parameter["value"]
        return parameter[0] if is_ordinary else parameter["sign"] + mask

    return _PARAMETER.sub(masked_parameter, _LOGIN.sub(masked_login, text))


def _is_parameter(name: str) -> bool:
    return is_secret(name) or _words(name)[-1:] in ([word] for word in _PARAMETERS)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
