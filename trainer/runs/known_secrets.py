"""The secrets that this process knows, and texts without them.

What is written, printed or sent goes through `veil`, wherever a secret may stand in it: in an
exception of a user's function as in an address. A value is known once a config has it at the key
of a secret, or reads it from the environment.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from schedules.declaration import Problem, Refused
from schedules.declaration.plain_files import open_descriptor

from .secret_names import is_secret, without_logins

MASK = "***"
"""What stands in the place of a secret."""
MIN_LENGTH = 8
"""The characters from which on a secret is looked for in texts."""
MIN_MIXED = 6
"""The same for one that is not made of letters alone."""
MIN_AMBIENT = 16
"""The same for variables of the environment that no config reads."""

_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def is_searched(secret: str) -> bool:
    """Whether a secret is long and rare enough to be looked for in texts.

    Else `1`, `true` or `digits` as a password would veil half of a config. Numbers are never
    looked for, as they would be found within other numbers.

    >>> list(filter(is_searched, ["hunter2", "swordfish", "true", "cosine", "12345678"]))
    ['hunter2', 'swordfish']
    """
    if len(secret) < (MIN_MIXED if not secret.isalpha() else MIN_LENGTH):
        return False
    with suppress(ValueError):
        float(secret)
        return False
    return True


def know(secret: str) -> None:
    """Has a secret veiled from now on; a text of several lines, each of its long lines too."""
    global _pattern
    parts = {secret.strip(), *(line.strip() for line in secret.splitlines())}
    new = {part for part in parts if is_searched(part)} - _known
    if new:
        _known.update(new)
        spellings = {spelling for known in _known for spelling in _spellings(known)}
        longest_first = sorted(filter(is_searched, spellings), key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first)))


def know_environment() -> None:
    """Has the secrets of the environment veiled, also those that only a user's code reads."""
    for name, value in os.environ.items():
        is_ours = name.startswith("TRAINER_SECRET_")
        if is_ours or (is_secret(name) and len(value) >= MIN_AMBIENT and not value.startswith("/")):
            know(value)


def forget_all() -> None:
    """Knows no secret any more."""
    global _pattern
    _known.clear()
    _pattern = None


def holds_secret(text: str) -> bool:
    """Whether a known secret is in a text."""
    return _pattern is not None and _pattern.search(text) is not None


def veil(text: str) -> str:
    """A text without known secrets, and without the logins of addresses.

    A secret is found as it is, as `repr`, JSON, HTML and YAML escape it, quoted for an address,
    and in base64, also within a longer text. Not in other encodings, encrypted or cut in two.

    >>> know("hunter2")
    >>> veil("no user 'hunter2' in base64: MTpodW50ZXIy"), veil("at http://me:abc@host/")
    ("no user '***' in base64: MTp***", 'at http://***@host/')
    >>> forget_all()
    """
    return without_logins(_pattern.sub(MASK, text) if _pattern else text, MASK)


def veil_tree(tree: Any) -> Any:
    """Mappings and lists with every text in them veiled."""
    match tree:
        case str():
            return veil(tree)
        case Mapping():
            return {veil_tree(key): veil_tree(value) for key, value in tree.items()}
        case list() | tuple():
            return [veil_tree(value) for value in tree]
    return tree


def veil_file(path: Path, start: int = 0) -> None:
    """Veils what others wrote into a file from byte `start` on."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK
    with suppress(OSError), os.fdopen(open_descriptor(path, flags), "r+b") as file:
        file.seek(start)
        written = file.read().decode(errors="surrogateescape")
        if (veiled := veil(written)) != written:
            file.seek(start)
            file.write(veiled.encode(errors="surrogateescape"))
            file.truncate()


@contextmanager
def veiled_refusals() -> Iterator[None]:
    """Has a refusal that the block raises tell no secret."""
    try:
        yield
    except Refused as refused:
        veiled = [_veil_problem(problem) for problem in refused.problems]
        if veiled == list(refused.problems):
            raise
        raise Refused(veiled) from None


def _veil_problem(problem: Problem) -> Problem:
    return replace(
        problem,
        value=veil_tree(problem.value),
        rule=veil(problem.rule),
        hint=veil(problem.hint),
        source=veil(problem.source),
    )


def _spellings(secret: str) -> Iterator[str]:
    """Every way in which a secret may stand in a text."""
    yield from (secret, unquote(secret), secret.replace("'", "''"))
    yield from (html.escape(secret), html.escape(secret, quote=False))
    for quoted in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield quoted
        yield re.sub("%..", lambda escape: escape[0].lower(), quoted)
    escaped = {
        secret.encode("unicode_escape").decode(),
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }
    yield from escaped
    yield from (json.dumps(text)[1:-1] for text in escaped)  # a text with a `repr`, as JSON
    yield from _base64_spellings(secret.encode(errors="surrogateescape"))


def _base64_spellings(secret: bytes) -> Iterator[str]:
    """What of a secret's base64 is the same whatever stands before and behind it.

    Base64 makes four letters of three bytes, so that there are three ways to be cut into them.
    """
    for before in range(3):
        padded = bytes(before) + secret
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            letters = encode(padded).decode().rstrip("=")
            shared = letters[(before * 8 + 5) // 6 : len(letters) - (len(padded) % 3 > 0)]
            if len(shared) >= MIN_LENGTH:
                yield shared
