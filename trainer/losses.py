"""What training makes small, and what an evaluation tells: declared kinds of losses."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from schedules.declaration import Kind

from .scheduled import Bounds, Value

if TYPE_CHECKING:
    import tensorflow as tf

    from .live import Dials


class Loss(Kind, family=True):
    """How far the outputs of a network are from what they should be.

    `training` is made small and may carry what helps learning, such as smoothed labels; scheduled
    fields are read from the dials of the update. `evaluation` is what is told of the test examples
    and has nothing of the sort, so that runs which learn differently can be compared.
    """

    @abstractmethod
    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        """The loss of each example, within `dials.showing(row)`."""

    @abstractmethod
    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """What is told of each example, by name, the `loss` first; means are taken over all."""


class CrossEntropy(Loss):
    """`-log p(label)` of a softmax over the logits; with label smoothing s and K classes,
    `(1 - s) * -log p(label) + s * mean(-log p(k) for all K)`.

    Source: Szegedy et al. 2015, arXiv 1512.00567; the same as Keras'
    `CategoricalCrossentropy(from_logits=True, label_smoothing=s)`, which smooths in evaluations
    too. Here those have the plain loss, and the accuracy.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[Value, Bounds(ge=0, lt=1)] = 0.0
    """The share of each label that is spread evenly over all classes."""

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        import tensorflow as tf

        plain = _negative_log_likelihood(outputs, labels)
        if self.label_smoothing == 0:
            return plain
        s = dials.live("label_smoothing", self.label_smoothing)
        return (1 - s) * plain + s * tf.reduce_mean(-tf.nn.log_softmax(outputs), axis=-1)

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        right = tf.argmax(outputs, axis=-1, output_type=labels.dtype) == labels
        loss = _negative_log_likelihood(outputs, labels)
        return {"loss": loss, "accuracy": tf.cast(right, loss.dtype)}


def _negative_log_likelihood(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
