"""The metrics of an evaluation while it goes through the test examples, a chunk at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schedules.declaration import within

from ..data import Facts
from .metric import Judged, Metric

if TYPE_CHECKING:
    import tensorflow as tf

    from ..losses import Loss

LOSS = "loss"


def parts(
    loss: Loss, metrics: Mapping[str, Metric], outputs: tf.Tensor, labels: tf.Tensor
) -> dict[str, tf.Tensor]:
    """What a chunk of examples adds to the loss and to each metric, within TensorFlow.

    Raises:
        Refused: when a function of the user's gives something else than it should.
    """
    import tensorflow as tf

    with within("loss"):
        told = {LOSS: tf.reduce_sum(loss.evaluation(outputs, labels))}
    judged = Judged(outputs, loss.predictions(outputs), labels)
    for name, metric in metrics.items():
        with within("metrics", name):
            told |= {f"{name}/{part}": found for part, found in metric.parts(judged).items()}
    return told


def rehearse(loss: Loss, metrics: Mapping[str, Metric], facts: Facts) -> None:
    """Works all of it out for made-up examples, outside of any compiled program.

    Raises:
        Refused: when a function of the user's gives something else than it should.
    """
    import tensorflow as tf

    shape, dtype = ([3], tf.int32) if facts.classes else ([3, facts.targets], tf.float32)
    parts(loss, metrics, tf.ones([3, facts.outputs]) / facts.outputs, tf.ones(shape, dtype))


class Tally:
    """Adds up the `parts` of all chunks, and gives what they come to."""

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self._metrics = metrics
        self._count = 0
        self._chunks: dict[str, list[NDArray[np.float64]]] = {}

    def add(self, parts: Mapping[str, ArrayLike], count: int) -> None:
        """Takes in a chunk of `count` examples."""
        self._count += count
        for name, part in parts.items():
            found, known = np.asarray(part, np.float64), self._chunks.setdefault(name, [])
            metric = self._metrics.get(name.partition("/")[0])
            if known and not (metric and metric.gathers):
                known[0] = known[0] + found
            else:
                known.append(found)

    def found(self) -> dict[str, float]:
        """The mean loss, and every metric by name."""
        found = {LOSS: float(self._chunks[LOSS][0]) / self._count}
        for name, metric in self._metrics.items():
            own = {
                path.partition("/")[2]: chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
                for path, chunks in self._chunks.items()
                if path.startswith(f"{name}/")
            }
            found[name] = metric.value(own, self._count)
        return found
