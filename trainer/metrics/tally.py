"""The metrics of an evaluation while it goes through the test examples, a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schedules.declaration import within

from ..data import Facts
from .metric import EvaluationBatch, Metric

if TYPE_CHECKING:
    import tensorflow as tf

    from ..losses import Loss

LOSS = "loss"


def parts(
    loss: Loss, metrics: Mapping[str, Metric], outputs: tf.Tensor, labels: tf.Tensor
) -> dict[str, tf.Tensor]:
    """The parts of the loss and of each metric for a batch, computed within TensorFlow.

    Raises:
        Refused: when a user's function raises, or returns no number for each example.
    """
    import tensorflow as tf

    with within("loss"):
        sums = {LOSS: tf.reduce_sum(loss.evaluation(outputs, labels))}
    batch = EvaluationBatch(outputs, loss.predictions(outputs), labels)
    for name, metric in metrics.items():
        with within("metrics", name):
            sums |= {f"{name}/{part}": value for part, value in metric.parts(batch).items()}
    return sums


def check_evaluation(loss: Loss, metrics: Mapping[str, Metric], facts: Facts) -> None:
    """Computes loss and metrics of made-up examples, outside of any compiled program.

    Raises:
        Refused: when a user's function raises, or returns no number for each example.
    """
    import tensorflow as tf

    shape, dtype = ([3], tf.int32) if facts.classes else ([3, facts.targets], tf.float32)
    parts(loss, metrics, tf.ones([3, facts.outputs]) / facts.outputs, tf.ones(shape, dtype))


class Tally:
    """Collects the `parts` of all batches, and computes loss and metrics from them."""

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self._metrics = metrics
        self._count = 0
        self._collected: dict[str, list[NDArray[np.float64]]] = {}

    def add(self, parts: Mapping[str, ArrayLike], count: int) -> None:
        """Adds the parts of a batch of `count` examples."""
        self._count += count
        for name, part in parts.items():
            values, collected = np.asarray(part, np.float64), self._collected.setdefault(name, [])
            metric = self._metrics.get(name.partition("/")[0])
            if collected and not (metric and metric.gathers):
                collected[0] = collected[0] + values
            else:
                collected.append(values)

    def result(self) -> dict[str, float]:
        """The mean loss, and every metric, by name."""
        result = {LOSS: float(self._collected[LOSS][0]) / self._count}
        for name, metric in self._metrics.items():
            parts = {
                path.partition("/")[2]: arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
                for path, arrays in self._collected.items()
                if path.startswith(f"{name}/")
            }
            result[name] = metric.value(parts, self._count)
        return result
