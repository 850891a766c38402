"""What labels are for, as far as their values tell: names of classes, or numbers to predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import refuse

Task = Literal["auto", "classification", "regression"]
"""Whether labels name classes or are numbers to predict.

`auto`: text, whole numbers and one-hot rows name classes, also at each place of an image;
fractions are to be predicted, and so are rows of 0 and 1. Whole numbers in a type of fractions,
and other rows of whole numbers, may be either, and are asked about.
"""


Override = Callable[[str, object], str]
"""Writes the override that gives a field of the data a value."""


def likely_task(
    train: NDArray[Any], path: str, value: object, override: Override, asked: Task
) -> Task:
    """The task that labels like these are for, or that is `asked` where it may be either.

    Raises:
        Refused: where they may well be for either.
    """
    has_columns = train.ndim > 1 and train.shape[1:] != (1,)
    if not has_columns and _may_be_classes(train):
        if asked != "auto":
            return asked
        rule = f"has whole numbers from 0 to {train.max():.0f} in {train.dtype}"
        classes, numbers = override("task", "classification"), override("task", "regression")
        hint = f"{classes} if they name classes, else {numbers}"
        raise refuse(path, value, f"{rule}: class names, or numbers to predict", hint)
    if train.dtype.kind == "f":
        return "regression"
    if train.ndim != 2 or train.shape[1] == 1 or train.dtype.kind in "OSU":
        return "classification"
    if ((train == 0) | (train == 1)).all():
        return "regression"
    if asked != "auto":
        return asked
    rule = f"has {train.shape[1]} whole numbers a label: classes at so many places, or numbers?"
    classes, numbers = override("task", "classification"), override("task", "regression")
    hint = f"{classes} for classes (tokens), {numbers} for numbers"
    raise refuse(path, value, rule, hint)


def is_one_hot(labels: NDArray[Any]) -> bool:
    """Whether labels are rows that mark one class each: a 1 in its place, and 0 elsewhere.

    >>> is_one_hot(np.eye(3)), is_one_hot(np.array([[1, 1], [0, 1]])), is_one_hot(np.ones([2, 1]))
    (True, False, False)
    """
    if labels.dtype.kind not in "biuf" or labels.ndim != 2 or labels.shape[1] < 2:
        return False
    ones = labels == 1
    return bool((ones.sum(axis=1) == 1).all() and (ones | (labels == 0)).all())


def marks_classes(labels: NDArray[Any]) -> bool:
    """Whether rows tell of each class how far it is right: 0 or 1 each, or shares of 1.

    >>> marks_classes(np.array([[1, 1], [0, 1]])), marks_classes(np.array([[0.25, 0.75]]))
    (True, True)
    >>> marks_classes(np.array([[0.5, 1.0]])), marks_classes(np.array([0, 1]))
    (False, False)
    """
    if labels.ndim != 2 or labels.shape[1] < 2:
        return False
    is_shares = (labels >= 0).all() and np.allclose(labels.sum(axis=1), 1, atol=1e-3)
    return bool(is_shares or ((labels == 0) | (labels == 1)).all())


def _may_be_classes(labels: NDArray[Any]) -> bool:
    """Whether fractions are whole numbers from 0 on, none skipped and each met twice on average."""
    if labels.dtype.kind != "f" or not np.isfinite(labels).all():
        return False
    values = np.unique(labels)
    return 2 <= len(values) <= labels.size / 2 and bool((values == np.arange(len(values))).all())
