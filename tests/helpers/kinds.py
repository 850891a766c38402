"""The kinds of optimizers, as parameters of tests that build them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from trainer.optimizers import Optimizer

KINDS = sorted(Optimizer.kinds)


def built(kinds: Iterable[str] = KINDS, *marks: pytest.MarkDecorator) -> list[Any]:
    """The kinds as parameters, with `marks`."""
    return [pytest.param(kind, marks=marks) for kind in sorted(kinds)]
