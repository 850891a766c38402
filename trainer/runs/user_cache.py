"""The folder of the user in which things lie that can be found out again, at the cost of time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/scheduled-training`, or that in `~/.cache` where the variable is not set.

    It may not exist, and be impossible to make.
    """
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home, as in a container: nothing is kept
        cache = Path(os.devnull)
    return cache / "scheduled-training"
