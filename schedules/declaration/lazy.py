"""Lazy packages: names are imported on first use, so importing the package imports nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_getattr(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for `package`; `modules` maps each name to the submodule that defines it.

    >>> lazy_getattr("schedules.declaration", {"refuse": "refusals"})("refuse").__module__
    'schedules.declaration.refusals'
    """

    def __getattr__(name: str) -> Any:  # noqa: N807  # it becomes the package's
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
