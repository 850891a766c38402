"""What the files of a run say in the place of secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .known_secrets import holds_secret, know
from .secret_names import is_numeric_secret, is_secret, logins

VARIABLE = "TRAINER_SECRET_"
"""How variables of the environment begin that take secrets from the command line and from files."""
MISSING = "???"
"""OmegaConf's word for a value that must be given."""

_READ = re.compile(r"\$\{\s*(oc\.env|secret)\s*:\s*(\w+)[^{}]*\}")
_READ_ALONE = re.compile(r"\$\{\s*(oc\.env|secret)\s*:\s*(\w+)\s*\}")
"""The same without a default."""

KeyPath = tuple[str | int, ...]
"""Where a config has a value: the keys of mappings and the indices of lists on the way to it."""


def moved_to_environment(name: str, value: str) -> str:
    """Sets a variable of the environment to a secret, and returns the interpolation that reads it.

    Hydra writes the command line and files into its own files and folder names, and a launcher
    gives it to other processes; all of these then name the variable.
    """
    know(value)
    variable = VARIABLE + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
    while os.environ.get(variable, value) != value:  # two secrets may have keys of one name
        variable += "_"
    os.environ[variable] = value
    return f"${{secret:{variable}}}"


def is_secret_value(names: tuple[str, ...], value: object) -> bool:
    """Whether a value below these keys is a secret: a text, or the number of a password.

    >>> is_secret_value(("kwargs", "tokens"), "x"), is_secret_value(("kwargs", "tokens"), 1000)
    (True, False)
    >>> is_secret_value(("kwargs", "password"), 1000)
    True
    """
    if isinstance(value, str):
        return value not in ("", MISSING) and any(map(is_secret, names))
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and any(map(is_numeric_secret, names))


def secret_placeholders(tree: Any, resolved: Any = None) -> dict[KeyPath, str]:
    """What to write in the place of each secret in an unresolved config, by its path.

    An interpolation is its own placeholder: a replay then finds the secret where this run did. The
    placeholder of any other value is `???`, which must be given anew. `resolved` is the same config
    with its interpolations resolved, as far as they are known. The secrets are known from then on,
    and a text that holds one of them is a secret wherever it stands.

    >>> secret_placeholders({"token": "swordfish", "n": 1, "note": "by swordfish"})
    {('token',): '???', ('note',): '???'}
    """
    leaves = list(_leaves(tree, resolved))
    values: set[Any] = set()
    placeholders: dict[KeyPath, str] = {}
    for path, text, value in leaves:
        names = tuple(key for key in path if isinstance(key, str))
        reads_secret = any(how == "secret" or is_secret(name) for how, name in _READ.findall(text))
        found = [*logins(text), *logins(value)] if isinstance(value, str) else []
        if reads_secret or is_secret_value(names, value):
            found.append(str(value))
            values.add(value)
        if found:
            placeholders[path] = text
        for secret in found:
            if "${" not in secret:  # else it is not known yet
                know(secret)
    for path, text, value in leaves:
        is_copy = "${" in text and value in values  # of a secret too short to be looked for
        if is_copy or (isinstance(value, str) and holds_secret(value)):
            placeholders[path] = text
    return {
        path: placeholders[path] if "${" in placeholders[path] else MISSING
        for path, _, _ in leaves
        if path in placeholders
    }


def with_placeholders(
    config: dict[str, Any], placeholders: Mapping[KeyPath, Any]
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


def absences(tree: Any) -> Iterator[tuple[KeyPath, str]]:
    """The placeholders in an unresolved config that lead to no secret, by their paths.

    With each goes the variable of the environment that it would have read, or nothing.
    """
    for path, text, _ in _leaves(tree, None):
        if text == MISSING:
            yield path, ""
        for how, name in _READ_ALONE.findall(text):
            if (how == "secret" or is_secret(name)) and name not in os.environ:
                yield path, name


def with_secrets(written: dict[str, Any], values: Any) -> dict[str, Any]:
    """Puts values into a config in the place of placeholders, in place, and returns the config.

    What has no value in the tree `values` stays a placeholder.

    >>> with_secrets({"token": "???", "n": 1}, {"token": "hunter2", "n": 2})
    {'token': 'hunter2', 'n': 1}
    """
    secrets = {}
    for path, text, _ in _leaves(written, None):
        value = values
        for key in path:
            value = _value_at(value, key)
        if value is not None and MISSING in without_placeholders(text):
            secrets[path] = value
    return with_placeholders(written, secrets)


def without_placeholders(tree: Any) -> Any:
    """A config with one text in the place of every placeholder, whichever way it was written.

    >>> without_placeholders({"uri": "db://me:${secret:A}@host", "tokens": ["???", "${oc.env:T}"]})
    {'uri': 'db://me:???@host', 'tokens': ['???', '${oc.env:T}']}
    """
    match tree:
        case str():
            return _READ.sub(
                lambda read: MISSING if read[1] == "secret" or is_secret(read[2]) else read[0], tree
            )
        case Mapping():
            return {key: without_placeholders(value) for key, value in tree.items()}
        case list():
            return [without_placeholders(value) for value in tree]
    return tree


def same_but_for_secrets(before: Any, now: Any) -> bool:
    """Whether two values of a config are alike where neither has a placeholder.

    >>> same_but_for_secrets("???", "${secret:A}")
    True
    >>> same_but_for_secrets(["${secret:A}", 1], ["???", 2])
    False
    """
    before, now = without_placeholders(before), without_placeholders(now)
    return before == now or (isinstance(before, str) and before == MISSING)


def _leaves(tree: Any, resolved: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str, Any]]:
    """The path of each value, as it is written and as it is, or as it is written where unknown."""
    branches = tree
    if isinstance(tree, str) and isinstance(resolved, Mapping | list):
        branches = _references(tree, resolved)
    if isinstance(branches, Mapping | list):
        for key, branch in _pairs(branches):
            yield from _leaves(branch, _value_at(resolved, key), (*path, key))
    elif tree is not None:
        yield path, str(tree), tree if resolved is None else resolved


def _references(interpolation: str, resolved: Any) -> Any:
    """The mapping or list that an interpolation stands for, with an interpolation for each value.

    >>> _references("${data.kwargs}", {"token": "x", "n": [1]})
    {'token': '${data.kwargs.token}', 'n': '${data.kwargs.n}'}
    """
    whole = re.fullmatch(r"\$\{(\w[\w.]*)\}", interpolation)
    if whole is None:
        return resolved
    if isinstance(resolved, Mapping):
        return {key: f"${{{whole[1]}.{key}}}" for key in resolved}
    return [f"${{{whole[1]}.{i}}}" for i in range(len(resolved))]


def _pairs(branches: Any) -> Iterator[tuple[str | int, Any]]:
    yield from branches.items() if isinstance(branches, Mapping) else enumerate(branches)


def _value_at(tree: Any, key: Any) -> Any:
    if isinstance(tree, Mapping):
        return tree.get(key)
    return tree[key] if isinstance(tree, list) and key < len(tree) else None
