"""How a config is refused: the path, the value, the rule it breaks, and what to type instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import inf
from typing import Any

ABSENT = object()
"""The value of a problem that no value caused, for example a missing key."""


@dataclass(frozen=True)
class Problem:
    """One thing in a config that can't be honoured; one edit at `path` mends it."""

    path: str
    value: Any
    rule: str
    hint: str = ""
    source: str = ""
    """Where the value was written: an override, or a file and its line."""

    def __str__(self) -> str:
        value = "" if self.value is ABSENT else f" = {yaml_text(self.value)}"
        source = f"\n  from: {self.source}" if self.source else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{self.path or 'schedule'}{value}: {self.rule}{source}{hint}"


class Refused(ValueError):  # noqa: N818  # reads as what happened, as in `except Refused`
    """A config that can't be honoured. `problems` holds every reason; the message lists them.

    >>> print(Refused([Problem("schedule.initial_value", True, "must be a number")]))
    schedule.initial_value = true: must be a number
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def refuse(path: str, value: Any, rule: str, hint: str = "") -> Refused:
    """A refusal with a single reason; the caller raises it."""
    return Refused([Problem(path, value, rule, hint)])


@contextmanager
def within(*path: str | int) -> Iterator[None]:
    """Puts `path` in front of the path of every problem that the block raises."""
    try:
        yield
    except Refused as refused:
        raise Refused(
            replace(problem, path=join_path(*path, problem.path)) for problem in refused.problems
        ) from None


def join_path(*keys: str | int) -> str:
    """The override path that leads through `keys`; empty keys are left out."""
    return ".".join(str(key) for key in keys if key != "")


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """A hint that names the choice nearest to `word`, or all choices when none is near.

    >>> did_you_mean("cosin", ["cosine", "linear"])
    'did you mean cosine?'
    >>> did_you_mean("x", ["cosine", "linear"])
    'known: cosine, linear'
    """
    choices = sorted(choices)
    if nearest := _nearest(word, choices):
        return f"did you mean {nearest}?"
    return f"known: {', '.join(choices)}" if choices else ""


def hint_for_key(
    key: str, known: Iterable[str], hints: Mapping[str, str], value: object = ABSENT
) -> str:
    """A hint for an unknown key: that of `hints` for the nearest word, else the nearest known key.

    A number that was written as `value` takes the place of the example in the hint.

    >>> hint_for_key("epoch", ["length", "seed"], {"epochs": "run.length='5 epochs'"})
    "run.length='5 epochs'"
    >>> hint_for_key("epoch", ["length", "seed"], {"epochs": "run.length='5 epochs'"}, 20)
    "run.length='20 epochs'"
    >>> hint_for_key("sed", ["length", "seed"], {"epochs": "run.length='5 epochs'"})
    'did you mean seed?'
    """
    known = list(known)
    if hint := hints.get(_nearest(key, [*hints, *known])):
        return _with_number(hint, value)
    return did_you_mean(key, known)


def _with_number(hint: str, value: object) -> str:
    """The hint with a number above 0 for its only one; for a whole number, only another one."""
    [example, *others] = _NUMBERS.findall(hint) or [""]
    is_number = isinstance(value, (int, float, str)) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else 0.0  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        return hint
    if not example or others or not 0 < number < inf:
        return hint
    if example.isdecimal() and not number.is_integer():
        return hint
    return hint.replace(example, str(value))


_NUMBERS = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")


def _nearest(word: object, choices: Iterable[str]) -> str:
    """The choice that is nearest to a word, capitals or not; "" when none is near."""
    by_lower_case = {choice.lower(): choice for choice in choices}
    nearest = get_close_matches(str(word).lower(), by_lower_case, n=1)
    return by_lower_case[nearest[0]] if nearest else ""


def yaml_text(value: Any, limit: int = 80) -> str:
    """A value as YAML would write it on one line; of one longer than `limit`, the two ends.

    A path is told from others by its end.
    """
    if isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: "null"}[value]
    elif isinstance(value, str):
        text = f"'{value}'"
    else:
        text = str(value)
    if len(text) <= limit:
        return text
    return f"{text[: limit - limit // 2 - 1]}…{text[-(limit // 2) :]}"
