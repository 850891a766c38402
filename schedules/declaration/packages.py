"""Optional packages: whether one is installed, and how to install the extra that brings it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from .refusals import refuse


def is_missing(package: str) -> bool:
    """Whether a package is not installed; a mere folder of its name does not count.

    >>> is_missing("numpy"), is_missing("no-such-package")
    (False, True)
    """
    try:
        version(package)
    except PackageNotFoundError:
        return True
    return False


def import_extra(kind: str, package: str, extra: str) -> Any:
    """Imports `package`, which `kind` needs and `extra` installs, and returns it.

    Raises:
        Refused: with the command that installs it, where it is missing.
    """
    root = package.partition(".")[0]
    if find_spec(root) is None:
        rule = f"needs {root}, which is not installed"
        raise refuse("kind", kind, rule, f"pip install 'scheduled-training[{extra}]'")
    return import_module(package)
