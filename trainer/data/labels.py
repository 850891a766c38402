"""Raw labels made into classes from 0 on, or into numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

from .facts import Feature
from .finite import check_finite
from .input_preparation import InputPreparation
from .inputs import Inputs
from .label_task import Override, Task, is_one_hot, likely_task, marks_classes


@dataclass(frozen=True)
class Labels:
    """The labels of each part, in the form that a loss takes."""

    parts: tuple[Inputs, ...]
    """`[n]` in int32 where they name classes, else `[n, targets]` in float32; with more axes where
    there is a class, or a number, at each place of an image or a sequence."""
    classes: int | None
    names: tuple[str, ...] | None = None
    """The names of the classes, where the data has names for them."""
    preparation: InputPreparation | None = None
    """What makes labels of `parts` that are read on demand; None where they are labels already."""

    @property
    def feature(self) -> Feature:
        """What a label is to the loss."""
        if self.preparation is not None:
            return Feature(self.preparation.shape, self.preparation.dtype, self.classes)
        dtype = "float32" if self.classes is None else "int32"
        return Feature(tuple(self.parts[0].shape[1:]), dtype, self.classes)

    def alike(self, part: NDArray[Any], path: str, value: object = ABSENT) -> NDArray[Any]:
        """Other labels of the same sort, in the same form: those of a stream, a few at a time.

        Raises:
            Refused: when they are of another sort, or name a class that is not known.
        """
        numbers: NDArray[Any] = self._numbers(part, path, value)
        if numbers.shape[1:] != self.parts[0].shape[1:]:
            shape, known = list(numbers.shape[1:]), list(self.parts[0].shape[1:])
            raise refuse(path, value, f"gives labels of shape {shape}, and gave {known} before")
        return numbers

    def _numbers(self, part: NDArray[Any], path: str, value: object) -> NDArray[Any]:
        if self.classes is None:
            return _targets(part, path, value)
        marked = not self.feature.shape and part.ndim == 2 and part.shape[1] == self.classes > 1
        if marked and is_one_hot(part):
            return np.asarray(part.argmax(axis=1), np.int32)
        is_column = part.ndim == len(self.feature.shape) + 2 and part.shape[-1] == 1
        places = part[..., 0] if is_column else part
        if self.names is not None and places.dtype.kind in "OSU":
            text = _text(places)
            numbers = np.searchsorted(self.names, text)
            known = np.array(self.names)[np.minimum(numbers, len(self.names) - 1)] == text
            if not known.all():
                rule = f"gives the class '{text[~known].ravel()[0]}', which no test example has"
                raise refuse(path, value, rule, f"known: {', '.join(self.names)}")
            return numbers.astype(np.int32)
        if places.dtype.kind not in "biuf":
            raise refuse(path, value, f"gives labels of type {part.dtype}")
        whole = _whole_numbers(places, path, value, "data.{}={}".format)
        outside = (whole < 0) | (whole >= self.classes)
        if outside.any():
            rule = f"gives the label {whole[outside].ravel()[0]}, outside 0 to {self.classes - 1}"
            hint = "data.classes says how many there are, where the tests don't have all"
            raise refuse(path, value, rule, hint)
        return whole.astype(np.int32)


def read_labels(
    parts: Sequence[NDArray[Any]],
    path: str,
    value: object = ABSENT,
    task: Task = "auto",
    classes: int | None = None,
    override: Override = "data.{}={}".format,
    asked: Task = "auto",
) -> Labels:
    """The labels of the training part, and of a test part where there is one.

    `asked` is what the loss takes labels for, where they may be either. `path` and `value` are
    those of the override that names the labels; `override` writes one that sets a field of the
    data, for hints.

    Raises:
        Refused: when the labels are neither classes nor numbers, saying what they are.
    """
    train = parts[0]
    if train.dtype.kind not in "OSUbiuf":
        rule = f"has labels of type {train.dtype}, and must have numbers or text"
        raise refuse(path, value, rule)
    is_text = train.dtype.kind in "OSU"
    if task != "regression" and is_one_hot(train):
        return _marked_classes(parts, path, value, classes)
    if task == "auto":
        task = likely_task(train, path, value, override, asked)
    if task == "regression":
        if is_text:
            rule = f"has labels that are no numbers, such as '{train.ravel()[0]}'"
            raise refuse(path, value, rule, override("task", "classification"))
        return Labels(tuple(_targets(part, path, value) for part in parts), None)
    places = tuple(_places(part, path, value, classes, override) for part in parts)
    if is_text:
        return _named_classes(places, path, value, classes)
    numbers = tuple(_whole_numbers(part, path, value, override) for part in places)
    count = _class_count(numbers, path, value, classes, override)
    return Labels(tuple(part.astype(np.int32) for part in numbers), count)


def _targets(part: NDArray[Any], path: str, value: object) -> NDArray[np.float32]:
    """The labels of a part as numbers to predict: `[n, targets]`, or with all their axes."""
    if part.dtype.kind not in "biuf":
        rule = f"has labels of type {part.dtype}"
        raise refuse(path, value, rule, "a number to predict, or a row of them, for each example")
    targets = part.astype(np.float32)
    if part.ndim == 1:
        targets = targets[:, None]
    check_finite(path, "a label", targets, value)
    return targets


def _places(
    part: NDArray[Any], path: str, value: object, classes: int | None, override: Override
) -> NDArray[Any]:
    """The labels of a part without a last axis of 1: a class each, or one at each place.

    Rows of 0 and 1 are classes at places where `classes` says how many, and is not their width.
    """
    is_marked = part.dtype.kind in "biuf" and marks_classes(part)
    if is_marked and classes in (None, part.shape[1]):
        rule = f"has labels of shape {list(part.shape[1:])}, which mark several classes each"
        several = "data.task=regression loss=binary_cross_entropy if several may be right at a time"
        hint = f"labels.argmax(axis=1) takes the likeliest; {several}"
        if part.shape[1] > 2 and ((part == 0) | (part == 1)).all():
            hint += f"; {override('classes', 2)} if there is one of two classes at each place"
        raise refuse(path, value, rule, hint)
    return part[..., 0] if part.ndim > 1 and part.shape[-1] == 1 else part


def _marked_classes(
    parts: Sequence[NDArray[Any]], path: str, value: object, classes: int | None
) -> Labels:
    """Labels that are one-hot rows, as the places of their ones."""
    count = parts[0].shape[1]
    if classes not in (None, count):
        rule = f"marks one of {count} classes in each row, and data.classes is {classes}"
        raise refuse(path, value, rule, "leave out data.classes")
    for part in parts[1:]:
        if not is_one_hot(part) or part.shape[1] != count:
            rule = f"marks one of {count} classes in each row that trains, and not in all tests"
            raise refuse(path, value, rule, "data.task=regression, if these are numbers to predict")
    return Labels(tuple(part.argmax(axis=1).astype(np.int32) for part in parts), count)


def _whole_numbers(
    part: NDArray[Any], path: str, value: object, override: Override
) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        whole = part.astype(np.int64)
    is_fraction = whole != part
    if is_fraction.any():
        i = int(is_fraction.reshape(len(part), -1).any(axis=1).argmax())
        label = part[is_fraction].ravel()[0]
        rule = f"has label {label} in example {i}, and classes are whole numbers"
        raise refuse(path, value, rule, override("task", "regression"))
    return whole


def _class_count(
    parts: tuple[NDArray[np.int64], ...],
    path: str,
    value: object,
    classes: int | None,
    override: Override,
) -> int:
    """How many classes there are: `classes`, or else as many as occur, none of them skipped."""
    labels = np.unique(np.concatenate([part.ravel() for part in parts]))
    what = f"has labels from {labels[0]} to {labels[-1]}"
    if labels[0] < 0 or (classes is not None and labels[-1] >= classes):
        last = "n - 1" if classes is None else classes - 1
        rule = f"{what}, and classes go from 0 to {last}"
        raise refuse(path, value, rule, "number the classes from 0 on")
    if classes is not None:
        return classes
    if len(labels) == 1:
        raise refuse(path, value, f"has one class only: every label is {labels[0]}")
    if len(labels) != labels[-1] + 1:
        missing = int(np.flatnonzero(labels != np.arange(len(labels)))[0])
        rule = f"{what}, and no example of class {missing}"
        hint = f"number the classes from 0 on, or {override('classes', labels[-1] + 1)}"
        if 2 * labels[-1] > sum(part.size for part in parts):
            hint = f"{override('task', 'regression')}, if these are numbers to predict"
        raise refuse(path, value, rule, hint)
    return int(labels[-1]) + 1


def _named_classes(
    parts: tuple[NDArray[Any], ...], path: str, value: object, classes: int | None
) -> Labels:
    """Labels that are texts, numbered in alphabetical order."""
    texts = [_text(part) for part in parts]
    names = np.unique(texts[0])
    if len(names) == 1:
        raise refuse(path, value, f"has one class only: every label is '{names[0]}'")
    if classes not in (None, len(names)):
        rule = f"has {len(names)} classes by name, and data.classes is {classes}"
        raise refuse(path, value, rule, "leave out data.classes")
    for text in texts[1:]:
        if unknown := sorted(set(np.unique(text)) - set(names)):
            rule = f"has the class '{unknown[0]}' among test examples only"
            raise refuse(path, value, rule, f"known: {', '.join(names)}")
    numbers = tuple(np.searchsorted(names, text).astype(np.int32) for text in texts)
    return Labels(numbers, len(names), tuple(names.tolist()))


def _text(part: NDArray[Any]) -> NDArray[Any]:
    return np.char.decode(part, "utf-8") if part.dtype.kind == "S" else part.astype(str)
