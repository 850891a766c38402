"""Optional packages: whether one is there, and how to install the extra that brings it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from .errors import refuse


def missing(package: str) -> bool:
    """Whether a package is not installed; a folder of its name that lies about does not count.

    >>> missing("numpy"), missing("no-such-package")
    (False, True)
    """
    try:
        version(package)
    except PackageNotFoundError:
        return True
    return False


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
