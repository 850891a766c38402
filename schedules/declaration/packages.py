"""Which packages are there, asked without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


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
