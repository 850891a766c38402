"""Splits loaded for tests as a run loads them, and why something is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schedules import Refused
from schedules.declaration import Problem, within
from trainer.data import Data, Split


def loaded(**config: Any) -> Split:
    """The examples of the data that `config` declares, which fit what was known before."""
    data = Data.declared(config)
    with within("data"):
        split = data.load()
    split.check(data.facts())
    return split


def refused(act: Callable[[], object]) -> Problem:
    """The one problem for which something is refused."""
    with pytest.raises(Refused) as caught:
        act()
    [problem] = caught.value.problems
    return problem


def assert_refused(act: Callable[[], object], path: str, rule: str, hint: str) -> None:
    """Something is refused for one thing at a path; its rule and hint have these words."""
    problem = refused(act)
    assert problem.path == path
    assert rule in problem.rule
    assert hint in problem.hint
