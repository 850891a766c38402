"""The metrics of an evaluation while it goes through the test examples, a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schedules.declaration import within

from ..data import Facts
from ..data.facts import Feature
from ..data.trees import Tree, map_tree
from ..losses.loss import Forward, Outputs
from .metric import EvaluationBatch, Metric

if TYPE_CHECKING:
    import tensorflow as tf

    from ..data.feeds.batch import Batch
    from ..losses import Loss

LOSS = "loss"


def judge(
    loss: Loss,
    metrics: Mapping[str, Metric],
    facts: Facts,
    forward: Forward,
    batch: Batch,
    real: int,
) -> dict[str, tf.Tensor]:
    """The parts of the loss and of each metric for a batch, computed within TensorFlow.

    Only the first `real` examples count.

    Raises:
        Refused: when a user's function raises, or returns no number for each example.
    """
    asked = loss.compared is not None or metrics
    outputs = forward(batch.inputs, training=False) if asked else None
    if outputs is not None and real < batch.size:
        values, masks = (
            map_tree(lambda x: None if x is None else x[:real], tree) for tree in outputs
        )
        outputs = Outputs(values, masks)
    with within("loss"):
        judged = loss.judged(forward, outputs, batch, real)
    sums = {f"{LOSS}/{name}": value for name, value in judged.items()}
    if outputs is None:
        return sums
    batch = batch.rows(slice(0, real)) if real < batch.size else batch
    return sums | parts(loss, metrics, facts, outputs, batch.labels, batch.weights)


def parts(
    loss: Loss,
    metrics: Mapping[str, Metric],
    facts: Facts,
    outputs: Outputs,
    labels: Tree[tf.Tensor],
    weights: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """The parts of each metric for the outputs of a batch, computed within TensorFlow.

    Raises:
        Refused: when a user's function raises, or returns no number for each example.
    """
    predictions = loss.predictions(outputs.values)
    trees = (outputs.values, predictions, labels, facts.labels, outputs.masks)

    def batch(label: str | None) -> EvaluationBatch:
        values, predictions, own, feature, mask = (_of(tree, label) for tree in trees)
        return EvaluationBatch.of(values, predictions, own, feature, weights, mask)

    sums: dict[str, tf.Tensor] = {}
    batches = {label: batch(label) for label in {metric.label for metric in metrics.values()}}
    for name, metric in metrics.items():
        with within("metrics", name):
            own = metric.parts(batches[metric.label])
            sums |= {f"{name}/{part}": value for part, value in own.items()}
    return sums


def _of(tree: Tree[Any], label: str | None) -> Any:
    return tree if label is None or not isinstance(tree, Mapping) else tree[label]


def check_evaluation(loss: Loss, metrics: Mapping[str, Metric], facts: Facts) -> None:
    """Computes loss and metrics of made-up examples, outside of any compiled program.

    Raises:
        Refused: when a user's function raises, or returns no number for each example.
    """
    import tensorflow as tf

    if loss.compared is None and not metrics:
        return

    def outputs(label: Feature) -> tf.Tensor:
        return tf.ones([3, *label.outputs]) / (label.outputs[-1] if label.outputs else 1)

    labels = map_tree(lambda label: tf.ones([3, *label.shape], label.dtype), facts.labels)
    masks = map_tree(lambda _: None, facts.labels)
    made_up = Outputs(map_tree(outputs, facts.labels), masks)
    if loss.compared is not None:
        with within("loss"):
            loss.compared.sums(made_up, labels, None)
    parts(loss, metrics, facts, made_up, labels)


class Tally:
    """Collects the `parts` of all batches, and computes loss and metrics from them."""

    def __init__(self, loss: Loss, metrics: Mapping[str, Metric]) -> None:
        self._loss = loss
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
        """The mean loss and its parts, and every metric, by name."""
        sums = {name: float(value) for name, value in self._parts(LOSS).items()}
        result = self._loss.from_sums(sums)
        for name, metric in self._metrics.items():
            result[name] = metric.value(self._parts(name), self._count)
        return result

    def _parts(self, name: str) -> dict[str, NDArray[np.float64]]:
        """What was collected of the loss or of a metric."""
        return {
            path.partition("/")[2]: arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
            for path, arrays in self._collected.items()
            if path.startswith(f"{name}/")
        }
