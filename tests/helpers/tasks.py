"""The sections of docs/tasks.md: what each has one type, trained in this process and by Keras."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, chdir
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

import keras
import numpy as np

import trainer
from tests.end_to_end.test_docs import CHECKOUT, FENCED, Block, blocks
from trainer.commands.given import Given
from trainer.config.experiment import Experiment
from trainer.data import Split
from trainer.data.feeds.order import ExampleOrder
from trainer.data.trees import map_tree
from trainer.engine.declared_network import declared_network
from trainer.keras_schedule import KerasSchedule

T = TypeVar("T")
PAGE = "docs/tasks.md"
COMMAND = "python -m trainer "
FOLDER = "hydra.run.dir="
SAME = {"compile": "graph"}
"""What whole runs and those in parts are both told, since `auto` may choose otherwise each time."""


class _ReachedError(Exception):
    """The last training of a section was reached; what follows it is not for here."""


@dataclass(frozen=True)
class Section:
    """A task of the page, with the blocks that its reader follows."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def trainings(self) -> int:
        """How many runs it makes; the last one is the task, those before it prepare for it."""
        return sum(
            sum(line.startswith(COMMAND) for line in _lines(block.text))
            if block.language == "bash"
            else len(re.findall(r"(?<![\w.])train\(", block.text))
            for block in self.blocks
        )

    def train(self, folder: Path, run: Mapping[str, Any] = SAME, **parts: Any) -> trainer.Outcome:
        """Does in `folder` what the section says, up to the end of its last training.

        The settings `run` and other parts of the config are that training's alone.
        """
        asked = {"run": run, "log": {"every": 1}} | parts

        def complete(experiment: Experiment, at: Path, given: Mapping[str, Any]) -> trainer.Outcome:
            changed = {name: _changed(experiment, name, value) for name, value in asked.items()}
            return _TRAIN(experiment.with_parts(changed), at, **given, quiet=True)

        return self._followed(folder, complete)

    def twin(self, folder: Path) -> Twin:
        """What the section's last training would begin with."""
        return self._followed(folder, lambda experiment, at, given: Twin.of(experiment, given))

    def _followed(
        self, folder: Path, last: Callable[[Experiment, Path, Mapping[str, Any]], T]
    ) -> T:
        """What `last` makes of the section's last training; those before it are made as written."""
        found: list[T] = []
        made = 0

        def train(experiment: Experiment, at: Any = None, **given: Any) -> trainer.Outcome:
            nonlocal made
            made += 1
            path = folder / (at or f"run{made}")
            if made < self.trainings:
                return _TRAIN(experiment, path, **{**given, "quiet": True})
            given.pop("quiet", None)
            found.append(last(experiment, path, given))
            raise _ReachedError

        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            held.enter_context(chdir(folder))
            held.enter_context(patch.object(trainer, "train", train))
            held.enter_context(patch.object(sys, "path", [str(folder), *sys.path]))
            held.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
            try:
                for block in self.blocks:
                    _follow(block, train)
            except _ReachedError:
                return found[0]
        raise AssertionError(f"{self.title} trains nothing")


_TRAIN = trainer.train


def sections() -> list[Section]:
    """The tasks of the page, in its order."""
    text = FENCED.sub(lambda fence: "\n" * fence[0].count("\n"), (CHECKOUT / PAGE).read_text())
    starts = [(i, x[3:]) for i, x in enumerate(text.splitlines(), 1) if x.startswith("## ")]
    ends = [line for line, _ in starts[1:]] + [sys.maxsize]
    found = [block for block in blocks(PAGE) if block.word != "not run"]
    return [
        Section(title, tuple(block for block in found if start < block.line < end))
        for (start, title), end in zip(starts, ends, strict=True)
    ]


@dataclass
class Twin:
    """A section's network as it is before its first update, to be trained by Keras."""

    experiment: Experiment
    model: keras.Model
    data: Split
    step: Callable[..., Any]
    """The section's own training step; of one that has none, something that can't be called."""

    @classmethod
    def of(cls, asked: Experiment, given: Mapping[str, Any]) -> Twin:
        """`given` are the objects that the section hands over: a model, data, a loss."""
        experiment = Given.of(*map(given.get, ("model", "data", "loss"))).completed(asked)
        data = experiment.data.load()
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(experiment.run.seed)
        names = list(experiment.curves())
        network = declared_network(experiment, names, data.train.labels, begins=True)
        return cls(experiment, network.model, data, given.get("loss", NotImplemented))

    def rate(self, factor: float = 1.0) -> KerasSchedule:
        """The run's learning rate, times a factor, for an optimizer of Keras."""
        whole: Any = self.experiment.schedule.model_dump(mode="json")
        scaled = {"kind": "scale", "factor": factor, "schedule": whole}
        return KerasSchedule(scaled if factor != 1 else whole, self.experiment.clock())

    def batches(self, updates: slice = slice(None)) -> Any:
        """Inputs, labels and weights in the order in which the run's updates learn from them."""
        data, experiment = self.data.train, self.experiment
        order = ExampleOrder(experiment.run.seed, len(data), experiment.data.batch_size)
        rows = order.indices(0, experiment.total_steps())[updates].ravel()
        parts = (data.inputs, data.labels, data.weights)
        return [None if x is None else map_tree(lambda x: np.asarray(x)[rows], x) for x in parts]

    def fit_losses(
        self, model: keras.Model | None = None, updates: slice = slice(None), **compiled: Any
    ) -> list[float]:
        """The losses of the updates that `fit` makes with the same batches, one after another.

        The model is compiled with `compiled`, of which `class_weight` is for `fit`.
        """
        model = model or self.model
        size = self.experiment.data.batch_size
        message = _Losses(self.timed)
        weights_of_classes = compiled.pop("class_weight", None)
        x, y, weights = self.batches(updates)
        model.compile(**compiled, jit_compile=False)
        model.fit(
            *(x, y, size),
            sample_weight=weights,
            class_weight=weights_of_classes,
            shuffle=False,
            verbose=0,
            callbacks=[message],
        )
        return message.losses

    timed: list[float] = field(default_factory=list)
    """When the updates of `fit` ended, by the clock of `time.perf_counter`."""


class _Losses(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes the loss of each update, from the running means that Keras tells, and its time."""

    def __init__(self, timed: list[float]) -> None:
        super().__init__()
        self.losses: list[float] = []
        self._timed = timed
        self._total = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        total = (batch + 1) * float(logs["loss"])
        self.losses.append(total - self._total)
        self._total = total
        self._timed.append(perf_counter())


class ByKeras(NamedTuple):
    """How Keras trains a section's twin."""

    losses: Callable[[Twin], list[float]]
    """Trains it by as many updates, and gives their losses."""
    noise: float
    """The share by which their mean may differ from that of the run's own."""


def _lines(script: str) -> list[str]:
    """The commands of a block, each on one line."""
    return script.replace("\\\n", " ").splitlines()


def _follow(block: Block, train: Callable[..., trainer.Outcome]) -> None:
    if block.word == "goes to":
        assert block.rest is not None
        Path(block.rest).write_text(block.text)
    elif block.language == "python":
        exec(compile(block.text, block.page, "exec"), {"__name__": "__main__"})
    elif block.language == "bash":
        for line in filter(lambda line: line.startswith(COMMAND), _lines(block.text)):
            words = shlex.split(line.removeprefix(COMMAND))
            [at] = [word.removeprefix(FOLDER) for word in words if word.startswith(FOLDER)]
            composed = [word for word in words if not word.startswith(FOLDER)]
            train(Experiment.composed(*composed), at)


def _changed(experiment: Experiment, name: str, value: Any) -> Any:
    """A part of the config with some of its values changed; another kind of it as it is."""
    if not isinstance(value, Mapping) or "kind" in value:
        return value
    part = getattr(experiment, name)
    return {**{field: getattr(part, field) for field in type(part).model_fields}, **value}
