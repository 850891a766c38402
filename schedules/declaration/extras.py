"""Packages that only some kinds of data need."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from schedules.declaration.errors import refuse


def extra(kind: str, package: str, name: str) -> Any:
    """A package, imported now.

    Raises:
        Refused: with the command that installs it, where it is missing.
    """
    root = package.partition(".")[0]
    if find_spec(root) is None:
        rule = f"needs {root}, which is not installed"
        raise refuse("kind", kind, rule, f"pip install 'scheduled-training[{name}]'")
    return import_module(package)
