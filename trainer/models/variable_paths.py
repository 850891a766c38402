"""The paths of a model's variables, which hang on the model alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..scheduled.keras_internals import set_path

if TYPE_CHECKING:
    import keras


def canonical(paths: Sequence[str]) -> list[str]:
    """The same paths, with numbers that Keras gave counted from the first one in here.

    >>> canonical(["dense_7/kernel", "dense_7/bias", "dense_8/kernel", "head/kernel"])
    ['dense/kernel', 'dense/bias', 'dense_1/kernel', 'head/kernel']
    """
    known: dict[tuple[str, str], str] = {}
    counts: dict[tuple[str, str], int] = {}
    renamed = []
    for path in paths:
        above = ""
        for part in path.split("/"):
            if (above, part) not in known:
                stem = re.sub(r"_\d+$", "", part)
                count = counts.get((above, stem), 0)
                counts[above, stem] = count + 1
                known[above, part] = f"{stem}_{count}" if count else stem
            above = f"{above}/{known[above, part]}".lstrip("/")
        renamed.append(above)
    return renamed


def rename(model: keras.Model, like: keras.Model | None = None) -> None:
    """Gives every variable a path that hangs on the model alone, or that of another one's.

    Keras numbers layers through a whole process.
    """
    paths = canonical([variable.path for variable in (like or model).variables])
    for variable, path in zip(model.variables, paths, strict=True):
        set_path(variable, path)
