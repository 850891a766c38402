"""Evaluations of one network: compiled once for every shape of a batch of test examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

import tensorflow as tf

from schedules.declaration import ABSENT, Refused, refuse
from schedules.declaration.functions import CODE_ERRORS

from ..data.feeds.batch import Batch
from ..data.feeds.feed import Feed
from ..data.feeds.filled import Filled, filled
from ..metrics import Tally
from .network import Network


class Evaluation:
    """Evaluates a network on the test examples of a feed."""

    def __init__(self, network: Network, feed: Feed) -> None:
        self._network = network
        self._feed = feed
        self._compiled: dict[Any, Any] = {}

    def result(self) -> dict[str, float]:
        """The mean loss over all test examples, and every metric of them."""
        tally = Tally(self._network.loss, self._network.metrics)
        for number, (batch, real) in enumerate(self.tests()):
            with refusing_errors(self._network, batch):
                parts = self._judged(batch, real)(tf.constant(number), *batch.distinct())
            tally.add(parts, real)
        return tally.result()

    def tests(self) -> Iterator[Filled]:
        """All test examples, in batches that the network takes."""
        return filled(self._feed.tests(), self._network.evaluation_size)

    def prepare(self) -> None:
        """Traces an evaluation of the first test examples.

        Raises:
            Refused: when the network, or the step, can't be evaluated so.
        """
        for batch, real in islice(self.tests(), 1):
            with refusing_errors(self._network, batch):
                self._judged(batch, real)

    def _judged(self, batch: Batch, real: int) -> Any:
        """What evaluates batches of this shape, given the number of one and its arrays."""
        arrays = batch.distinct()
        key = (real, *(tuple(array.shape) for array in arrays))
        if key not in self._compiled:
            judge = partial(self.judge, batch.map(lambda _: 0), real)
            evaluate = tf.function(judge, autograph=False)
            self._compiled[key] = evaluate.get_concrete_function(tf.constant(0), *arrays)
        return self._compiled[key]

    def judge(
        self, batch: Batch, real: int, number: tf.Tensor, *arrays: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The parts of an evaluation for a batch with the names of this one and these arrays."""
        return self._network.judge(batch.filled(arrays), real, number)


@contextmanager
def refusing_errors(network: Network, batch: Batch) -> Iterator[None]:
    """Takes what a network or a step raises in an evaluation for a refusal of it.

    Raises:
        Refused: with what was raised, and of which shape the batch was.
    """
    try:
        yield
    except (Refused, tf.errors.ResourceExhaustedError):
        raise
    except CODE_ERRORS as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        shapes = " and ".join(str(list(x.shape)) for x in batch.distinct())
        rule = f"can't be evaluated: {type(error).__name__}: {lines[-1] if lines else ''}"
        hint = f"it was given test examples of shape {shapes}"
        what = "model" if network.loss.compared is not None else "loss"
        raise refuse(what, ABSENT, rule, hint) from error
