"""Networks put together for tests as a run does it, without a folder."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tests.helpers.runs import experiment
from trainer.config.experiment import Experiment
from trainer.data.feeds.order import ExampleOrder
from trainer.data.feeds.select import make_feed
from trainer.engine.declared_network import declared_network
from trainer.engine.program import Compiled, Program


class Trained:
    """A small network with its program, tape and stream, and what updates made of it."""

    def __init__(self, *overrides: str, compiled: Compiled = "graph", longest: int = 50) -> None:
        self.declared: Experiment = experiment("run.length=50", *overrides)
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(self.declared.run.seed)
        data = self.declared.data.load()
        self.curves = self.declared.curves()
        names = list(self.curves)
        self.network = declared_network(self.declared, names, data.train.labels)
        batch = self.declared.data.batch_size
        self.stream = ExampleOrder(self.declared.run.seed, len(data.train), batch)
        parts = self.declared.run.micro_batches
        self.data = data
        feed = make_feed(self.declared.data, data, self.stream)
        self.program = Program(self.network, feed, compiled, longest, parts)

    def update(self, step: int, count: int) -> Any:
        """Makes updates, and gives their losses."""
        steps = np.arange(step, step + count)
        table = np.stack([curve(steps) for curve in self.curves.values()], axis=1)
        return self.program.update(table, step).losses

    def batch(self, step: int) -> tuple[Any, Any]:
        """The inputs and labels of an update."""
        [chosen] = self.stream.indices(step, 1)
        return self.data.train.inputs[chosen], self.data.train.labels[chosen]

    def weights(self) -> dict[str, Any]:
        """The trained weights by path."""
        return {w.path: np.asarray(w) for w in self.network.model.trainable_variables}
