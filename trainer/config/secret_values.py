"""Secrets on the command line and in config files, moved to where Hydra writes none of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import takewhile
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import create_functions
from hydra.core.override_parser.overrides_visitor import HydraErrorListener, HydraOverrideVisitor
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException
from hydra.grammar.gen.OverrideLexer import (  # type: ignore[attr-defined]  # it imports them with *
    CommonTokenStream,
    InputStream,
    OverrideLexer,
)
from hydra.grammar.gen.OverrideParser import OverrideParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from schedules.declaration import ABSENT, Problem

from ..runs.known_secrets import know
from ..runs.redaction import absences, is_secret_value, moved_to_environment
from ..runs.secret_names import is_secret, login_spans, logins

MAX_BRACKETS = 100
"""The most lists and mappings in an override: Hydra's parser recurses for nested ones."""


def read_secret(name: str) -> str:
    """The value of a variable of the environment, as `${secret:NAME}` in a config reads it.

    Raises:
        LookupError: when it is not set.
    """
    if (value := os.environ.get(name)) is None:
        raise LookupError(f"{name} of the environment is not set")
    know(value)
    return value


OmegaConf.register_new_resolver("secret", read_secret, replace=True)


class Written(NamedTuple):
    """A single value within an override: where it is written, and what it is."""

    start: int
    stop: int
    names: tuple[str, ...]
    """The keys that lead to it."""
    value: Any


def with_secrets_in_environment(arguments: Iterable[str]) -> Iterator[str]:
    """Moves each secret in overrides to a variable of the environment that they then read.

    Everything else stays as it was typed, to the letter.

    >>> list(with_secrets_in_environment(["run.seed=1", "schedule.kwargs.token=hunter2"]))
    ['run.seed=1', 'schedule.kwargs.token="${secret:TRAINER_SECRET_TOKEN}"']
    """
    for argument in arguments:
        for start, stop, text in reversed(list(_replacements(argument))):
            argument = argument[:start] + text + argument[stop:]
        yield argument


def know_secrets_of(arguments: Iterable[str]) -> None:
    """Has every secret in overrides veiled, and leaves them as they are."""
    for argument in arguments:
        for written in _values(argument):
            for secret in _secrets(written):
                know(secret)


def absent_secrets(tree: Any) -> Iterator[Problem]:
    """A problem for each secret of an unresolved config that must be given anew.

    >>> print(*absent_secrets({"kwargs": {"token": "???"}}))
    kwargs.token: must be given anew: the files of a run hold no secrets
      hint: kwargs.token=…
    >>> print(*absent_secrets({"kwargs": {"n": "${secret:NOWHERE}"}}))
    kwargs.n: is a secret, and NOWHERE of the environment is not set
      hint: export NOWHERE=…, or kwargs.n=…
    """
    for path, variable in absences(tree):
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]
        override = ".".join(map(str, takewhile(lambda key: isinstance(key, str), path)))
        if variable:
            rule = f"is a secret, and {variable} of the environment is not set"
            yield Problem(place, ABSENT, rule, f"export {variable}=…, or {override}=…")
        else:
            rule = "must be given anew: the files of a run hold no secrets"
            yield Problem(place, ABSENT, rule, f"{override}=…")


def move_secrets_of_file(config: Any) -> None:
    """Replaces each secret in a config file's content, in place, by what reads it from there."""
    _move(config, ())


def _move(node: Any, names: tuple[str, ...]) -> None:
    if node._is_none() or node._is_missing() or node._is_interpolation():
        return
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        inner = (*names, str(key)) if isinstance(node, DictConfig) else names
        child = node._get_node(key)
        if isinstance(child, (DictConfig, ListConfig)):
            _move(child, inner)
            continue
        before = child._value()
        if (after := _without_secrets(inner, before)) != before:
            node[key] = after


def _without_secrets(names: tuple[str, ...], value: Any) -> Any:
    """A single value of a file, or what reads it from the environment where it is a secret."""
    if isinstance(value, str) and names[-3:-1] == ("sweeper", "params"):
        # What a sweep or a search tries is written as on the command line.
        [moved] = with_secrets_in_environment([f"{names[-1]}={value}"])
        return moved.removeprefix(f"{names[-1]}=")  # a key may have a sign of its own
    if is_secret_value(names, value) and "${" not in str(value):
        return _moved(names, value)
    return _without_logins(names, value) if isinstance(value, str) else value


def _replacements(argument: str) -> Iterator[tuple[int, int, str]]:
    """The secrets in an override: from where to where, and what to write there instead."""
    for written in _values(argument):
        typed = argument[written.start : written.stop]
        is_plain = "${" not in str(written.value)
        if is_plain and is_secret_value(written.names, written.value):
            # In quotes, for Hydra would escape what it writes out of several values.
            yield written.start, written.stop, f'"{_moved(written.names, written.value)}"'
        elif isinstance(written.value, str):
            replaced = _without_logins(written.names, typed)
            if replaced == typed and is_plain and any(logins(written.value)):
                # It is typed with escapes.
                replaced = f'"{moved_to_environment(_last_key(written.names), written.value)}"'
            if replaced != typed:
                yield written.start, written.stop, replaced


def _moved(names: tuple[str, ...], value: object) -> str:
    """The interpolation that reads a secret, which is a number again where it was one."""
    keys = [key for name in names for key in name.split(".")]
    moved = moved_to_environment(next(filter(is_secret, reversed(keys))), str(value))
    return moved if isinstance(value, str) else f"${{oc.decode:{moved}}}"


def _without_logins(names: tuple[str, ...], text: str) -> str:
    """A text with the logins in it moved to the environment."""
    for start, stop in reversed(login_spans(text)):
        moved = moved_to_environment(_last_key(names), text[start:stop])
        text = text[:start] + moved + text[stop:]
    return text


def _last_key(names: tuple[str, ...]) -> str:
    return names[-1].rpartition(".")[2]


def _secrets(written: Written) -> Iterator[str]:
    if is_secret_value(written.names, written.value):
        yield str(written.value)
    if isinstance(written.value, str):
        yield from logins(written.value)


def _values(argument: str) -> Iterator[Written]:
    """The single values in an override, by Hydra's grammar.

    One at the key of a secret that is not of this grammar is the text that was typed: tokens end
    in `==`, and passwords have any sign in them. Any other is for Hydra to refuse.
    """
    key, sign, text = argument.partition("=")
    if not sign or key.startswith("-") or not may_hold_secrets(argument):
        return
    start, names = len(key) + 1, (key.lstrip("+~"),)
    if argument.count("[") + argument.count("{") <= MAX_BRACKETS:
        with suppress(HydraException):
            if (value := _syntax(argument).value()) is not None:
                yield from _primitives(value, names, HydraOverrideVisitor(create_functions()))
            return
    if text and text[0] not in "{[(\"' " and is_secret(key):
        yield Written(start, len(argument), names, text)
        return


def may_hold_secrets(argument: str) -> bool:
    """Whether it is worth a look; Hydra's parser takes a millisecond."""
    return any(logins(argument)) or any(map(is_secret, re.findall(r"[\w.-]+", argument)))


def _syntax(argument: str) -> Any:
    """The syntax tree of an override, which tells where each value is written."""
    listener = HydraErrorListener()
    lexer = OverrideLexer(InputStream(argument))
    parser: Any = OverrideParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(listener)
    return parser.override()


def _primitives(
    context: Any, names: tuple[str, ...], visitor: HydraOverrideVisitor
) -> Iterator[Written]:
    if isinstance(context, OverrideParser.PrimitiveContext):
        value = visitor.visitPrimitive(context)
        plain = value.text if isinstance(value, QuotedString) else value
        yield Written(context.start.start, context.stop.stop + 1, names, plain)
        return
    if isinstance(context, OverrideParser.DictKeyValuePairContext):
        key: Any = context.getChild(0)
        names = (*names, str(visitor.visitDictKey(key)))
    for child in context.getChildren():
        if hasattr(child, "getChildren") and not isinstance(child, OverrideParser.DictKeyContext):
            yield from _primitives(child, names, visitor)
