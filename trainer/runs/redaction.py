"""Secrets: values that the files of a run must not hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WORDS = {"password", "passwd", "pwd", "passphrase", "token", "secret", "secrets", "apikey", "key",
         "credential", "credentials", "auth"}  # fmt: skip
"""A name with one of these words in it looks like a secret's."""

_ASSIGNMENT = re.compile(
    r"""(?P<key>[\w.@/-]+)(?P<sign>\s*[=:]\s*)(?P<value>"[^"]*"|'[^']*'|[^\s,{}\[\]"'$]+)"""
)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:\s*(\w+)")

KeyPath = tuple[str | int, ...]
"""Where a config has a value: the keys of mappings and the indices of lists on the way to it."""


def is_secret(name: str) -> bool:
    """Whether a key or the name of an environment variable looks like a secret's.

    >>> is_secret("WANDB_API_KEY"), is_secret("apiToken"), is_secret("monkey")
    (True, True, False)
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return any(word.lower() in WORDS for word in words)


def holds_password(text: str) -> bool:
    """Whether an address with a password is in a text.

    >>> holds_password("http://me:hunter2@host/"), holds_password("http://host:80/")
    (True, False)
    """
    return _PASSWORD.search(text) is not None


def without_credentials(text: str) -> str:
    """A text without the user names and passwords of its addresses.

    >>> without_credentials("no route to http://me:hunter2@host/")
    'no route to http://host/'
    """
    return _CREDENTIALS.sub("", text)


def with_secrets_in_environment(arguments: Iterable[str]) -> Iterator[str]:
    """Moves each secret in command-line overrides to an environment variable that they then name.

    Hydra writes the command line into its files and folder names, which then name the variable.

    >>> list(with_secrets_in_environment(["run.seed=1", "schedule.kwargs.token=hunter2"]))
    ['run.seed=1', 'schedule.kwargs.token=${oc.env:TRAINER_SECRET_TOKEN}']
    """
    for argument in arguments:
        key, sign, value = argument.partition("=")
        if sign and is_secret(_last_key(key)) and "${" not in value:
            yield f"{key}={_move_to_environment(_last_key(key), value)}"
        else:
            yield _ASSIGNMENT.sub(_without_secret, argument)


def secret_placeholders(tree: Any, resolved: Any = None, path: KeyPath = ()) -> dict[KeyPath, str]:
    """What to write in the place of each secret in an unresolved config, by its path.

    An interpolation is its own placeholder: a replay then finds the secret where this run did. The
    placeholder of any other value is `???`, OmegaConf's word for a value that must be given.
    `resolved` is the same config with its interpolations resolved, as far as they are known.
    """
    if isinstance(tree, str) and isinstance(resolved, Mapping | list):
        tree = resolved
    if isinstance(tree, Mapping | list):
        branches = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        return {
            secret_path: placeholder
            for key, branch in branches
            for secret_path, placeholder in secret_placeholders(
                branch, _value_at(resolved, key), (*path, key)
            ).items()
        }
    text = tree if isinstance(tree, str) else ""
    secret_key = any(isinstance(key, str) and is_secret(key) for key in path)
    secret_variable = any(map(is_secret, _ENVIRONMENT.findall(text)))
    has_password = any(isinstance(x, str) and holds_password(x) for x in (tree, resolved))
    if tree is None or not (secret_key or secret_variable or has_password):
        return {}
    return {path: text if "${" in text else "???"}


def with_placeholders(
    config: dict[str, Any], placeholders: Mapping[KeyPath, str]
) -> dict[str, Any]:
    """Replaces the secrets in a config by their placeholders, in place, and returns the config."""
    for path, text in placeholders.items():
        node: Any = config
        for key in path[:-1]:
            node = node.get(key) if isinstance(node, dict) else node[int(key)]
            if not isinstance(node, (dict, list)):
                break
        else:
            node[path[-1]] = text
    return config


def _value_at(tree: Any, key: Any) -> Any:
    if isinstance(tree, Mapping):
        return tree.get(key)
    return tree[key] if isinstance(tree, list) and key < len(tree) else None


def _without_secret(assignment: re.Match[str]) -> str:
    """The text of an assignment, its value moved to the environment where that is a secret."""
    key, value = _last_key(assignment["key"]), assignment["value"]
    if not (is_secret(key) or holds_password(value)) or "${" in value:
        return assignment[0]
    unquoted = value[1:-1] if value[0] in "'\"" else value
    return f'{assignment["key"]}{assignment["sign"]}"{_move_to_environment(key, unquoted)}"'


def _move_to_environment(key: str, value: str) -> str:
    """Sets an environment variable to a value and returns an interpolation that reads it."""
    name = f"TRAINER_SECRET_{re.sub(r'[^A-Za-z0-9]', '_', key).upper()}"
    while os.environ.get(name, value) != value:  # two secrets may have keys of one name
        name += "_"
    os.environ[name] = value
    return f"${{oc.env:{name}}}"


def _last_key(path: str) -> str:
    return path.rpartition(".")[2]
