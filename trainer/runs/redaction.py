"""Secrets: values that the files of a run must not hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WORDS = {"password", "passwd", "pwd", "passphrase", "token", "secret", "secrets", "apikey", "key",
         "credential", "credentials", "auth"}  # fmt: skip
"""A name with one of these words in it looks like a secret's."""

_GIVEN = re.compile(
    r"""(?P<key>[\w.@/-]+)(?P<sign>\s*[=:]\s*)(?P<value>"[^"]*"|'[^']*'|[^\s,{}\[\]"'$]+)"""
)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:\s*(\w+)")

Path = tuple[str | int, ...]


def is_secret(name: str) -> bool:
    """Whether a key or the name of an environment variable looks like a secret's.

    >>> is_secret("WANDB_API_KEY"), is_secret("apiToken"), is_secret("monkey")
    (True, True, False)
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return any(word.lower() in WORDS for word in words)


def holds_password(text: str) -> bool:
    """Whether there is an address with a password in it.

    >>> holds_password("http://me:hunter2@host/"), holds_password("http://host:80/")
    (True, False)
    """
    return _PASSWORD.search(text) is not None


def anonymous(text: str) -> str:
    """A text without what stands in front of the host of any address.

    >>> anonymous("no route to http://me:hunter2@host/")
    'no route to http://host/'
    """
    return _CREDENTIALS.sub("", text)


def veiled(arguments: Iterable[str]) -> Iterator[str]:
    """The same overrides, each secret in them replaced by an environment variable that holds it.

    Hydra puts the command line into files and names of its own. They then tell only where the
    secret was.

    >>> list(veiled(["run.seed=1", "schedule.kwargs.token=hunter2"]))
    ['run.seed=1', 'schedule.kwargs.token=${oc.env:TRAINER_SECRET_TOKEN}']
    """
    for argument in arguments:
        key, sign, value = argument.partition("=")
        if sign and is_secret(_last(key)) and "${" not in value:
            yield f"{key}={_moved(_last(key), value)}"
        else:
            yield _GIVEN.sub(_replacement, argument)


def hidden(tree: Any, resolved: Any = None, path: Path = ()) -> dict[Path, str]:
    """What to write in the place of each secret in an unresolved config, by its path.

    An interpolation is written as it is, so that a replay finds the secret where this run did; in
    the place of anything else stands `???`, OmegaConf's word for a value to be given. `resolved`
    is the same config with every interpolation resolved, as far as that is known.
    """
    if isinstance(tree, str) and isinstance(resolved, Mapping | list):
        tree = resolved
    if isinstance(tree, Mapping | list):
        branches = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        return {
            at: text
            for key, branch in branches
            for at, text in hidden(branch, _inside(resolved, key), (*path, key)).items()
        }
    text = tree if isinstance(tree, str) else ""
    named = any(isinstance(key, str) and is_secret(key) for key in path)
    inherited = any(map(is_secret, _ENVIRONMENT.findall(text)))
    addressed = any(isinstance(x, str) and holds_password(x) for x in (tree, resolved))
    if tree is None or not (named or inherited or addressed):
        return {}
    return {path: text if "${" in text else "???"}


def concealed(tree: dict[str, Any], instead: Mapping[Path, str]) -> dict[str, Any]:
    """The config `tree` with the values at some paths replaced."""
    for path, text in instead.items():
        node: Any = tree
        for key in path[:-1]:
            node = node.get(key) if isinstance(node, dict) else node[int(key)]
            if not isinstance(node, (dict, list)):
                break
        else:
            node[path[-1]] = text
    return tree


def _inside(tree: Any, key: Any) -> Any:
    if isinstance(tree, Mapping):
        return tree.get(key)
    return tree[key] if isinstance(tree, list) and key < len(tree) else None


def _replacement(found: re.Match[str]) -> str:
    key, value = _last(found["key"]), found["value"]
    if not (is_secret(key) or holds_password(value)) or "${" in value:
        return found[0]
    plain = value[1:-1] if value[0] in "'\"" else value
    return f'{found["key"]}{found["sign"]}"{_moved(key, plain)}"'


def _moved(key: str, value: str) -> str:
    name = f"TRAINER_SECRET_{re.sub(r'[^A-Za-z0-9]', '_', key).upper()}"
    while os.environ.get(name, value) != value:  # two secrets may have keys of one name
        name += "_"
    os.environ[name] = value
    return f"${{oc.env:{name}}}"


def _last(key: str) -> str:
    return key.rpartition(".")[2]
