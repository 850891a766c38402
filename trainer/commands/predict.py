"""What the network of a run says of examples."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse

from ..config.experiment import Experiment
from ..data import Examples, Facts, Preparation, Split
from ..data.on_disk import Stored
from .restored import Restored

if TYPE_CHECKING:
    from ..engine.network import Network


FORMATS = (".csv", ".npy")


PARTS = ("test", "train", "all")


class Predicted(NamedTuple):
    """What was predicted of examples, and how good that is."""

    outputs: NDArray[np.float32]
    """What the network gives, `[n, outputs]`: a probability for each class, or the numbers."""
    labels: NDArray[Any]
    metrics: dict[str, float]
    names: tuple[str, ...] | None = None
    """What the classes are called, where they are not called 0, 1, 2 …"""

    def save(self, path: Path) -> None:
        """Writes a row for each example, or in `.npy` the outputs alone.

        Raises:
            Refused: when the file can't be written.
        """
        try:
            if path.suffix == ".npy":
                np.save(path, self.outputs, allow_pickle=False)
            else:
                with path.open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file, lineterminator="\n").writerows(self._rows())
        except OSError as error:
            rule = f"can't be written: {error.strerror}"
            raise refuse("--output", str(path), rule) from None

    def _rows(self) -> Iterator[list[Any]]:
        """A heading, then of each example its index, what is predicted, and its label.

        Numbers are written so that they read back to the same float32.
        """
        count = self.outputs.shape[1]
        if self.labels.ndim == 1:
            names = self.names or [str(i) for i in range(count)]
            yield ["index", "prediction", "label", *(f"probability_{name}" for name in names)]
            for i, (outputs, label) in enumerate(zip(self.outputs, self.labels, strict=True)):
                yield [i, names[outputs.argmax()], names[label], *map(_short, outputs)]
            return
        places = [""] if count == 1 else [f"_{i}" for i in range(count)]
        yield ["index", *(f"{word}{place}" for word in ("prediction", "label") for place in places)]
        for i, (outputs, label) in enumerate(zip(self.outputs, self.labels, strict=True)):
            yield [i, *map(_short, outputs), *map(_short, label)]


def predict(this: Restored, experiment: Experiment, part: str = "test") -> Predicted:
    """What the network of a run says of a part of an experiment's data: test, train or all."""
    from ..data.feeds.order import ExampleOrder
    from ..data.feeds.select import make_feed
    from ..engine.program import Program

    data = experiment.data.load()
    data.check(experiment.data.facts())
    examples = _as_the_run_had_it(_part(data, part), data.preparation, this.preparation)
    network = this.network()
    split = Split(data.train, examples, data.preparation)
    feed = make_feed(experiment.data, split, ExampleOrder(1, len(data.train), 1))
    # The very function that evaluates while training, so that the same data gives the same number.
    metrics = Program(network, feed, "graph", 1).evaluate()
    outputs = np.concatenate([_predictions(network, inputs) for inputs, _ in feed.tests()])
    named = {f"eval_{name}": value for name, value in metrics.items()}
    return Predicted(outputs, examples.labels, named, this.preparation.names)


def _part(data: Split, part: str) -> Examples:
    if part != "all":
        return data.train if part == "train" else data.test
    parts = data.train, data.test
    return Examples(
        np.concatenate([np.asarray(examples.inputs) for examples in parts]),
        np.concatenate([examples.labels for examples in parts]),
    )


def _as_the_run_had_it(examples: Examples, now: Preparation, run: Preparation) -> Examples:
    """The examples prepared as the run's own, and their classes numbered like its own.

    Raises:
        Refused: when they have other columns, or a class that the run knows nothing of.
    """
    inputs, labels = examples.inputs, examples.labels
    if now.columns != run.columns:
        rule = f"has the columns {_listed(now.columns)}, and the run's were {_listed(run.columns)}"
        raise refuse("data", ABSENT, rule)
    if (now.shift, now.scale) != (run.shift, run.scale):
        if isinstance(inputs, Stored):
            inputs = Stored(inputs.raw, run)
        else:
            inputs = run.apply(now.undo(inputs))
    if now.names != run.names:
        unknown = [name for name in now.names or ("numbers",) if name not in (run.names or ())]
        if unknown:
            rule = f"has classes that the run's has not: {_listed(unknown)}"
            raise refuse("data", ABSENT, rule, f"the run's are {_listed(run.names)}")
        assert now.names
        assert run.names
        labels = np.array([run.names.index(name) for name in now.names], np.int32)[labels]
    return Examples(inputs, labels)


def _listed(names: Sequence[str] | None) -> str:
    return ", ".join(names) if names else "not named"


def _predictions(network: Network, inputs: Any) -> NDArray[np.float32]:
    return np.asarray(network.loss.predictions(network.outputs(inputs)), np.float32)


def _short(value: np.float32) -> str:
    return str(np.float32(value))


def _among(option: str, value: Any, options: Sequence[Any]) -> None:
    if value not in options:
        raise refuse(option, value, f"must be one of {', '.join(filter(None, options))}")


def _compare(run: Facts, now: Facts) -> None:
    """Whether a network made for one data set fits another.

    Raises:
        Refused: with what either has.
    """
    if now.shape != run.shape:
        here, before = f"inputs of shape {list(now.shape)}", str(list(run.shape))
    elif _labels(now) != _labels(run):
        here, before = f"{_labels(now)} for labels", _labels(run)
    elif (now.classes or 0) > (run.classes or 0):
        here, before = f"{now.classes} classes", str(run.classes)
    else:
        return
    rule = f"has {here}, and the run's network was made for {before}"
    raise refuse("data", ABSENT, rule, "data of the same shape as the run's")


def _labels(facts: Facts) -> str:
    if facts.classes is not None:
        return "classes"
    return "a number" if facts.targets == 1 else f"{facts.targets} numbers"
