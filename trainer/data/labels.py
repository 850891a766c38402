"""What labels mean: classes from 0 on, or numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

Task = Literal["auto", "classification", "regression"]
"""Whether labels name classes or are numbers to predict.

`auto`: text and whole numbers name classes, and fractions, or several numbers a label, are to be
predicted.
"""


@dataclass(frozen=True)
class Labels:
    """The labels of each part, as a loss takes them."""

    parts: tuple[NDArray[np.int32] | NDArray[np.float32], ...]
    """`[n]` in int32 where they name classes, else `[n, targets]` in float32."""
    classes: int | None
    names: tuple[str, ...] | None = None
    """What the classes are called in the data, where it has names for them."""

    @property
    def targets(self) -> int:
        """How many numbers a label is."""
        return 1 if self.classes is not None else self.parts[0].shape[1]


def understood(
    parts: Sequence[NDArray[Any]],
    path: str,
    value: object = ABSENT,
    task: Task = "auto",
    classes: int | None = None,
) -> Labels:
    """What the labels of the training part, and of a test part where there is one, mean.

    `path` and `value` are those of the override that names the labels.

    Raises:
        Refused: when they mean neither classes nor numbers, with what was found.
    """
    first = parts[0]
    if first.dtype.kind not in "OSUbiuf":
        rule = f"has labels of type {first.dtype}, and must have numbers or text"
        raise refuse(path, value, rule)
    text = first.dtype.kind in "OSU"
    if task == "auto":
        wide = first.ndim > 1 and first.shape[1:] != (1,)
        task = "regression" if wide or first.dtype.kind == "f" else "classification"
    if task == "regression":
        if text:
            rule = f"has labels that are no numbers, such as '{first.ravel()[0]}'"
            raise refuse(path, value, rule, "data.task=classification")
        return Labels(tuple(_numbers(part, path, value) for part in parts), None)
    columns = tuple(_column(part, path, value) for part in parts)
    if text:
        return _named(columns, path, value, classes)
    whole = tuple(_whole(part, path, value) for part in columns)
    return Labels(tuple(x.astype(np.int32) for x in whole), _counted(whole, path, value, classes))


def _numbers(part: NDArray[Any], path: str, value: object) -> NDArray[np.float32]:
    if part.dtype.kind not in "biuf" or part.ndim > 2:
        rule = f"has labels of type {part.dtype} and shape {list(part.shape[1:])}"
        raise refuse(path, value, rule, "a number to predict, or a row of them, for each example")
    numbers = part.reshape(len(part), -1).astype(np.float32)
    odd = ~np.isfinite(numbers).all(axis=1)
    if odd.any():
        rule = f"has a label that is not finite, in example {odd.argmax()}"
        raise refuse(path, value, rule, "clean the data; training would only spread it")
    return numbers


def _column(part: NDArray[Any], path: str, value: object) -> NDArray[Any]:
    if part.ndim > 2 or part.shape[1:] not in ((), (1,)):
        rule = f"has labels of shape {list(part.shape[1:])}, and must have one class an example"
        hint = "number the classes instead of marking them: labels.argmax(axis=1)"
        raise refuse(path, value, rule, hint)
    return part.reshape(len(part))


def _whole(part: NDArray[Any], path: str, value: object) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        whole = part.astype(np.int64)
    odd = whole != part
    if odd.any():
        i = int(odd.argmax())
        rule = f"has label {part[i]} in example {i}, and classes are whole numbers"
        raise refuse(path, value, rule, "data.task=regression")
    return whole


def _counted(
    parts: tuple[NDArray[np.int64], ...], path: str, value: object, classes: int | None
) -> int:
    """How many classes there are; every one of them is met, unless `classes` says how many."""
    found = np.unique(np.concatenate(parts))
    what = f"has labels from {found[0]} to {found[-1]}"
    if found[0] < 0 or (classes is not None and found[-1] >= classes):
        last = "n - 1" if classes is None else classes - 1
        rule = f"{what}, and classes go from 0 to {last}"
        raise refuse(path, value, rule, "number the classes from 0 on")
    if len(found) == 1 and classes is None:
        raise refuse(path, value, f"has one class only: every label is {found[0]}")
    if classes is None and len(found) != found[-1] + 1:
        missing = int(np.flatnonzero(found != np.arange(len(found)))[0])
        rule = f"{what}, and no example of class {missing}"
        hint = f"number the classes from 0 on, or data.classes={found[-1] + 1}"
        if 2 * found[-1] > sum(map(len, parts)):
            hint = "data.task=regression, if these are numbers to predict"
        raise refuse(path, value, rule, hint)
    return int(found[-1]) + 1 if classes is None else classes


def _named(
    parts: tuple[NDArray[Any], ...], path: str, value: object, classes: int | None
) -> Labels:
    """Classes by name, numbered in the order of the alphabet."""
    texts = [np.char.decode(x, "utf-8") if x.dtype.kind == "S" else x.astype(str) for x in parts]
    names = np.unique(texts[0])
    if len(names) == 1:
        raise refuse(path, value, f"has one class only: every label is '{names[0]}'")
    if classes not in (None, len(names)):
        rule = f"has {len(names)} classes by name, and data.classes is {classes}"
        raise refuse(path, value, rule, "leave out data.classes")
    for text in texts[1:]:
        if strange := sorted(set(np.unique(text)) - set(names)):
            rule = f"has the class '{strange[0]}' among test examples only"
            raise refuse(path, value, rule, f"known: {', '.join(names)}")
    numbers = tuple(np.searchsorted(names, text).astype(np.int32) for text in texts)
    return Labels(numbers, len(names), tuple(names.tolist()))
