"""How a config is refused: where, what was found, which rule it breaks, what to type instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

ABSENT = object()
"""Stands for the value of a problem that no value caused, such as a missing key."""


@dataclass(frozen=True)
class Problem:
    """One thing that can't be honoured, told so that one edit mends it."""

    path: str
    value: Any
    rule: str
    hint: str = ""
    source: str = ""
    """Where the value was written: an override, or a file and its line."""

    def __str__(self) -> str:
        found = "" if self.value is ABSENT else f" = {shown(self.value)}"
        source = f"\n  from: {self.source}" if self.source else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{self.path or 'schedule'}{found}: {self.rule}{source}{hint}"


class Refused(ValueError):  # noqa: N818  # reads as what happened, as in `except Refused`
    """A config that can't be honoured. `problems` holds every reason; the message lists them.

    >>> print(Refused([Problem("schedule.initial_value", True, "must be a number")]))
    schedule.initial_value = true: must be a number
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def refuse(path: str, value: Any, rule: str, hint: str = "") -> Refused:
    """A refusal with a single reason, ready to be raised."""
    return Refused([Problem(path, value, rule, hint)])


@contextmanager
def within(*path: str | int) -> Iterator[None]:
    """Puts `path` in front of every problem that the block raises."""
    try:
        yield
    except Refused as refused:
        raise Refused(
            replace(problem, path=joined(*path, problem.path)) for problem in refused.problems
        ) from None


def joined(*path: str | int) -> str:
    """An override path from its parts, without the empty ones."""
    return ".".join(str(part) for part in path if part != "")


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or all of them when none is near.

    >>> did_you_mean("cosin", ["cosine", "linear"])
    'did you mean cosine?'
    >>> did_you_mean("x", ["cosine", "linear"])
    'known: cosine, linear'
    """
    known = sorted(known)
    near = get_close_matches(str(word), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(known)}" if known else ""


def shown(value: Any, limit: int = 80) -> str:
    """A value as YAML would write it on one line, cut where it is long."""
    if isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: "null"}[value]
    elif isinstance(value, str):
        text = f"'{value}'"
    else:
        text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
