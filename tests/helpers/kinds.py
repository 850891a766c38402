"""The kinds of optimizers, as parameters of tests that build them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from schedules import Refused
from trainer.optimizers import Optimizer

KINDS = sorted(Optimizer.kinds)


def built(kinds: Iterable[str] = KINDS, *marks: pytest.MarkDecorator) -> list[Any]:
    """The kinds with `marks`, each skipped where the installed Keras lacks its rule."""
    return [pytest.param(kind, marks=[*marks, *_marks(kind)]) for kind in sorted(kinds)]


def _marks(kind: str) -> list[pytest.MarkDecorator]:
    required = {"momentum": 0.9} if kind in {"momentum", "nesterov"} else {}
    try:
        Optimizer.declared({"kind": kind, **required}).check_installed()
    except Refused as refused:
        return [pytest.mark.skip(reason=refused.problems[0].rule)]
    return []
