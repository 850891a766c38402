"""What of data that users bring is known before it is loaded: its labels, its sizes, its facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from schedules.declaration import ABSENT, refuse

from .buckets import Bucketing
from .facts import Facts, Feature
from .files import input_shape
from .held_out import HeldOut
from .inputs import Inputs
from .label_task import Task
from .labels import Labels, read_labels
from .padding import Padder
from .ragged import Padded
from .raw_examples import Contents, RawExamples
from .raw_part import check_part
from .raw_settings import RawSettings
from .streams.streamed import RawStream
from .trees import Tree, map_tree, named_leaves
from .window import Cutter, Window
from .windows import Windows, learn_of, shared


class RawContents(RawSettings):
    """The raw examples of a declaration, read once, and what follows from them."""

    _asked: Mapping[str, Task] = PrivateAttr(default_factory=dict)
    """What the loss takes labels for, by their names; '' is for all others."""

    def ask(self, tasks: Mapping[str, Task]) -> None:
        """Takes labels for what a loss asks of them, where they may be classes or numbers."""
        if tasks != self._asked:
            self._asked = tasks
            self.__dict__.pop("contents", None)

    @cached_property
    def contents(self) -> Contents:
        """The raw examples, their labels as a loss takes them, and the facts; read once.

        Raises:
            Refused: when the examples can't be read or learnt from.
        """
        raw = self.read()
        if raw.stream is not None and self.ragged is not None:
            rule = f"is for rows that are there as a whole, and {raw.stream.source.what} gives some"
            raise refuse("ragged", ABSENT, rule, "fill them up in the pipeline")
        of_any_length = raw.train
        train, *test = Padder(self.ragged, self.normalise, self.override).pad(raw.parts)
        raw = raw._replace(train=train, test=test[0] if test else None)
        for name, part in zip(("train", "test"), raw.parts, strict=False):
            check_part(name, part, raw.train)
        if self.window is not None:
            raw = self._in_windows(raw, self.window)
        labels = None if raw.train.labels is None else self._labels(raw)
        if raw.stream is not None:
            self._check_stream(raw.stream)
        elif self.epoch is not None:
            rule = "is for examples that come one after another, and these are counted"
            raise refuse("epoch", self.epoch, rule, "leave it out")
        examples = len(raw.train)
        row_indices = None
        if raw.test is None:
            row_indices = (self.held_out or HeldOut()).parts(examples, _stratifies(labels))
            count = len(row_indices[1])
            if not 0 < count < examples:
                rule = f"would hold out {count} of {examples} examples"
                raise refuse("held_out.fraction", ABSENT, rule, "bring more, or another share")
            examples -= count
        trains = slice(None) if row_indices is None else row_indices[0]
        arrays = dict(named_leaves(raw.train.inputs))
        learnt = {
            name: learn_of(learn, arrays[name], trains) for name, learn in raw.learners.items()
        }
        inputs = map_tree(
            lambda name, path, x: (
                Feature(learnt[name].shape, learnt[name].dtype, learnt[name].classes)
                if name in learnt
                else self._input(path, x)
            ),
            _names_of(raw.train.inputs),
            _paths("inputs", raw.train.inputs),
            raw.train.inputs,
        )
        features: Tree[Feature] = inputs
        if labels is not None:
            features = map_tree(lambda one: one.feature, labels)
        buckets = None
        if self.buckets is not None:
            sorter = Bucketing(self.buckets, self.override)
            buckets, lengths = sorter.of(of_any_length, raw.train, learnt, trains)
            raw = raw._replace(train=replace(raw.train, lengths=lengths))
        weighted = raw.train.weights is not None
        epoch = examples if raw.stream is None else self.epoch or raw.stream.source.examples
        facts = Facts(epoch, inputs, features, weighted, buckets)
        return Contents(raw, labels, facts, learnt, row_indices)

    def _asked_of(self, label: str) -> Task:
        return self._asked.get(label, self._asked.get("", "auto"))

    def _task_of_window(self, label: str) -> Task:
        """What a label is for, which its values alone don't tell of a window."""
        is_open = self.window is not None and self.task == "auto"
        return self._asked_of(label) if is_open else self.task

    def _in_windows(self, raw: RawExamples, window: Window) -> RawExamples:
        """The same data with windows of its rows as examples."""
        if raw.stream is not None:
            rule = f"is for rows that are there as a whole, and {raw.stream.source.what} gives some"
            raise refuse("window", ABSENT, rule, "make windows in the pipeline")
        for path, labels in named_leaves(raw.train.labels) if raw.train.labels is not None else ():
            asked = self._asked_of(path)
            if self.task == asked == "auto" and labels.dtype.kind in "iu":
                field, value = self.labels_override
                at = f"{field}.{path}" if path else field
                rule = "has whole numbers, which name classes or are to be predicted"
                classes, numbers = (self.override("task", t) for t in get_args(Task)[1:])
                raise refuse(at, ABSENT if path else value, rule, f"{numbers}, or {classes}")
        given = None if raw.test is None else shared(raw.test)
        cutter = Cutter(window, self.override)
        train, test = cutter.cut(shared(raw.train), given, self.held_out)
        share = (self.held_out or HeldOut()).fraction if raw.test is None else None
        return raw._replace(train=train, test=test, last_share=share)

    def _check_stream(self, stream: RawStream) -> None:
        """Refuses settings that only hold for examples that are there as a whole."""
        what = f"is worked out on all examples that train, and {stream.source.what} gives some"
        if self.normalise in ("scale", "standardise"):
            hint = self.override("normalise", "none")
            raise refuse("normalise", self.normalise, what, f"{hint}, and do it in the pipeline")
        if self.buckets is not None:
            rule = f"is for rows that are there as a whole, and {stream.source.what} gives some"
            raise refuse("buckets", ABSENT, rule, "leave it out")
        if self.keep == "device":
            rule = f"is for examples that end, and {stream.source.what} is read as it goes"
            raise refuse("keep", self.keep, rule, self.override("keep", "auto"))

    def _labels(self, raw: RawExamples) -> Tree[Labels]:
        """The labels of all parts, each as a loss takes it."""
        path, value = self.labels_override
        trees: list[Any] = [part.labels for part in raw.parts if part.labels is not None]
        if raw.stream is not None:  # whose first examples hardly have all classes
            trees[0] = map_tree(_joined_labels, trees[0], trees[1])
        if not isinstance(trees[0], Mapping):
            classes = self.classes
            assert not isinstance(raw.names, Mapping)
            if classes is None and raw.names and self.task != "regression":
                classes = len(raw.names)
            asked = self._asked_of("")
            task = self._task_of_window("")
            labels = read_labels([*trees], path, value, task, classes, self.override, asked)
            if labels.classes is not None and labels.names is None:
                return replace(labels, names=raw.names)
            return labels
        if self.classes is not None:
            rule = "is for data with one label, and this has several"
            raise refuse("classes", self.classes, rule, "leave it out")
        by_name = raw.names if isinstance(raw.names, Mapping) else {}
        read = {}
        for name in trees[0]:
            parts = [tree[name] for tree in trees]
            names = by_name.get(name)
            classes = len(names) if names and self.task != "regression" else None
            at, asked = f"{path}.{name}", self._asked_of(name)
            task = self._task_of_window(name)
            one = read_labels(parts, at, ABSENT, task, classes, self.override, asked)
            is_named = one.classes is not None and one.names is None
            read[name] = replace(one, names=names) if is_named else one
        return read

    def _input(self, path: str, inputs: Inputs) -> Feature:
        """What an input is to the network, from what it is in the data."""
        stored, kind = tuple(inputs.shape[1:]), inputs.dtype.kind
        if path == "inputs":
            shape = input_shape(path, stored, self.shape)
            if isinstance(inputs, Windows) and inputs.row_shape[-1] not in (1, shape[-1]):
                rule = f"must end with the {inputs.row_shape[-1]} numbers of a row"
                raise refuse("shape", list(shape), rule, "leave it out")
            return Feature(shape, "string" if kind in "OSU" else "float32")
        if self.shape is not None:
            rule = "is for data with one input, and this has several"
            raise refuse("shape", list(self.shape), rule, "leave it out")
        if kind in "OSU":
            return Feature(stored or (1,), "string")
        counts = kind in "iu" and inputs.dtype.itemsize > 1  # pixels are bytes
        ids = counts and (self.normalise in ("none", "pixels") or isinstance(inputs, Padded))
        return Feature(stored or (1,), "int32" if ids else "float32")


def _stratifies(labels: Tree[Labels] | None) -> NDArray[np.int32] | None:
    """The classes of the training examples, where there is one label and it is one class."""
    if labels is None or isinstance(labels, Mapping):
        return None
    if labels.classes is None or len(labels.parts[0].shape) > 1:
        return None
    return np.asarray(labels.parts[0][:]).astype(np.int32)


def _joined_labels(first: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """The labels of a stream's first examples and those of the tests.

    Raises:
        Refused: when they are of different shapes.
    """
    if first.shape[1:] != others.shape[1:]:
        shape, test_shape = list(first.shape[1:]), list(others.shape[1:])
        rule = f"has labels of shape {shape}, and test has {test_shape}"
        raise refuse("train", ABSENT, rule, "give both the same shape")
    return np.concatenate([first, others])


def _paths(path: str, tree: Tree[Any]) -> Tree[str]:
    """The path of each leaf."""
    return {name: f"{path}.{name}" for name in tree} if isinstance(tree, Mapping) else path


def _names_of(tree: Tree[Any]) -> Tree[str]:
    """The name of each leaf."""
    return {name: name for name in tree} if isinstance(tree, Mapping) else ""
