"""Losses for labels that name a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

from schedules.declaration import Flag, refuse

from ..data import Facts
from ..data.facts import Feature
from ..data.trees import Tree
from ..scheduled.fields import Bounds, Value
from .loss import Loss, Tasks

if TYPE_CHECKING:
    import tensorflow as tf

    from ..scheduled.dials import Dials

SMALLEST = 1e-7
"""Smaller probabilities are raised to this one before their logarithm is taken, as in Keras."""


def _class_weights(written: object) -> object:
    """The weights as floats by class number; `balanced` and None as they are."""
    if written is None or written == "balanced":
        return written
    hint = {"hint": "{0: 1.0, 7: 2.5}, or balanced; a class that is left out weighs 1"}
    if not isinstance(written, Mapping) or not written:
        rule = "must be a weight for some classes by their numbers, or balanced"
        raise PydanticCustomError("weights", rule, hint)
    weights: dict[int, float] = {}
    for name, weight in written.items():
        is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not str(name).isdecimal() or not is_number or not 0 <= weight < np.inf:
            rule = "must have numbers from 0 on for classes and weights, and has {name}: {weight}"
            raise PydanticCustomError("weights", rule, {"name": name, "weight": weight, **hint})
        weights[int(str(name))] = float(weight)
    if not any(weights.values()):
        raise PydanticCustomError("weights", "must leave some class a weight above 0", hint)
    return weights


def _sorted(weights: Any) -> Any:
    """The weights as a config file has them, in the order of the classes."""
    if not isinstance(weights, Mapping):
        return weights
    return {str(k): weights[k] for k in sorted(weights)}


ClassWeights = Annotated[
    Mapping[int, float] | Literal["balanced"] | None,
    BeforeValidator(_class_weights),
    PlainSerializer(_sorted),
]
"""The weight of each class' examples in training, by the class' number."""


class ClassLoss(Loss):
    """A loss of classes, with class weights, for networks that give logits or probabilities.

    With class weights the loss of an example of class k is multiplied by `w[k]`, 1 for a class
    without a weight, and a batch's loss stays the mean over its examples: Keras' `class_weight`.
    (torch's `weight` divides by the sum of the weights instead.) `balanced` is scikit-learn's
    `n / (K * count[k])` of the examples that train, whose mean over them is 1. Evaluations are
    unweighted.
    """

    tasks: ClassVar[Tasks] = ("classes",)
    activation: ClassVar[str | None] = "softmax"

    class_weights: ClassWeights = None
    """What an example of each class counts for in training, by its number; or `balanced`."""
    from_logits: Flag = True
    """Whether the network gives logits; false for one that ends in a softmax (or sigmoid)."""

    def for_data(self, facts: Facts) -> Loss:
        super().for_data(facts)
        weights = self.class_weights
        if weights is None:
            return self
        hint = f"weigh classes 0 to {(facts.classes or 0) - 1}"
        if facts.classes is None:
            raise refuse("class_weights", weights, "needs labels that name one class each")
        if weights != "balanced" and max(weights) >= facts.classes:
            rule = f"weighs class {max(weights)}, and there are {facts.classes}"
            raise refuse("class_weights", dict(weights), rule, hint)
        return self

    def for_labels(self, labels: Any, facts: Facts) -> Loss:
        if self.class_weights != "balanced" or facts.classes is None:
            return self
        labels = np.asarray(labels)  # they may be on the disk
        if not labels.size:
            rule = "can't be worked out for a stream, whose labels are not known before they train"
            raise refuse("class_weights", "balanced", rule, "loss.class_weights={0: 2.0}")
        counts = np.bincount(labels.astype(np.int64).ravel(), minlength=facts.classes)
        if not counts.all():
            rule = f"can't be worked out: class {counts.argmin()} has no example that trains"
            raise refuse("class_weights", "balanced", rule, "loss.class_weights={0: 2.0}")
        weights = labels.size / (facts.classes * counts)
        return self.model_copy(update={"class_weights": dict(enumerate(weights.tolist()))})

    def suited(self, outputs: Tree[tf.Tensor], facts: Facts) -> Tree[tf.Tensor]:
        import tensorflow as tf

        assert not isinstance(outputs, Mapping)
        label = facts.label
        if not is_single_unit(outputs.shape[1:], label):
            return super().suited(outputs, facts)
        # A softmax over [0, z] is the sigmoid of z.
        first = tf.zeros_like(outputs) if self.from_logits else 1 - outputs
        return tf.concat([first, outputs], axis=-1)

    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        import tensorflow as tf

        loss = self.unweighted(self.logits(outputs), labels, dials)
        if self.class_weights is None:
            return loss
        if self.class_weights == "balanced":
            raise ValueError("`for_labels` works balanced weights out of the labels")
        classes = outputs.shape[-1]
        weights = tf.constant([self.class_weights.get(k, 1.0) for k in range(classes)], loss.dtype)
        return tf.gather(weights, labels) * loss

    def unweighted(self, logits: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        """The training loss of each example, before class weights."""
        raise NotImplementedError

    def logits(self, outputs: tf.Tensor) -> tf.Tensor:
        """The logits of outputs, which are logits or probabilities."""
        import tensorflow as tf

        return outputs if self.from_logits else tf.math.log(tf.maximum(outputs, SMALLEST))

    def predictions(self, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.nn.softmax(outputs) if self.from_logits else outputs


class CrossEntropy(ClassLoss):
    """`-log p(label)` of a softmax over the logits; with label smoothing s and K classes,
    `(1 - s) * -log p(label) + s * mean(-log p(k) for all K)`.

    Source: Szegedy et al. 2015, arXiv 1512.00567; the same as Keras'
    `CategoricalCrossentropy(from_logits=True, label_smoothing=s)`, which smooths in evaluations
    too. Here evaluations have the plain loss.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[Value, Bounds(ge=0, lt=1)] = 0.0
    """The share of each label that is spread evenly over all classes."""

    def unweighted(self, logits: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        import tensorflow as tf

        plain = _negative_log_likelihood(logits, labels)
        if self.label_smoothing == 0:
            return plain
        s = dials.live("label_smoothing", self.label_smoothing)
        return (1 - s) * plain + s * tf.reduce_mean(-tf.nn.log_softmax(logits), axis=-1)

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return _negative_log_likelihood(self.logits(outputs), labels)


class Focal(ClassLoss):
    """`(1 - p(label))**gamma * -log p(label)` of a softmax: well predicted examples count less.

    Source: Lin et al. 2017, arXiv 1708.02002, for a softmax as in Keras'
    `CategoricalFocalCrossentropy(alpha=1, from_logits=True)`; the paper's alpha is
    `class_weights` here. Evaluations have the plain cross entropy.
    """

    kind: Literal["focal"] = "focal"
    gamma: Annotated[Value, Bounds(ge=0)] = 2.0
    """How much less well predicted examples count; 0 is cross entropy."""

    def unweighted(self, logits: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        import tensorflow as tf

        plain = _negative_log_likelihood(logits, labels)
        # A power of 0 has no finite gradient where gamma is below 1.
        one_minus_p = tf.maximum(-tf.math.expm1(-plain), SMALLEST)
        gamma = tf.convert_to_tensor(dials.live("gamma", self.gamma), plain.dtype)
        return one_minus_p**gamma * plain

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return _negative_log_likelihood(self.logits(outputs), labels)


class BinaryCrossEntropy(ClassLoss):
    """The mean over all outputs z of `-y * log(sigmoid(z)) - (1 - y) * log(1 - sigmoid(z))`.

    Where labels name a class, y is 1 for that class and 0 for the others: one against the rest,
    as in Wightman et al. 2021, arXiv 2110.00476. Where labels are numbers, y is the label, which
    must be from 0 to 1: several classes may be right at a time. With label smoothing s, training
    takes `(1 - s) * y + s / 2` for y, and evaluations take y. The same as Keras'
    `BinaryCrossentropy(from_logits=True, label_smoothing=s)`.
    """

    kind: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    tasks: ClassVar[Tasks] = ("classes", "numbers")
    activation: ClassVar[str | None] = "sigmoid"
    label_smoothing: Annotated[Value, Bounds(ge=0, lt=1)] = 0.0
    """The share of each label that is replaced by 1/2."""

    def for_outputs(self, shapes: Tree[tuple[int | None, ...]], facts: Facts) -> Loss:
        assert not isinstance(shapes, Mapping)
        if not is_single_unit(shapes, facts.label):
            return self
        # Of a single output it is the cross entropy of two classes, and so is the smoothing.
        fields = ("label_smoothing", "class_weights", "from_logits")
        return CrossEntropy(**{name: getattr(self, name) for name in fields})

    def for_labels(self, labels: Any, facts: Facts) -> Loss:
        labels = np.asarray(labels)  # they may be on the disk
        is_outside = (labels < 0) | (labels > 1)
        if facts.classes is None and is_outside.any():
            rule = f"takes labels from 0 to 1, and there is {labels[is_outside][0]:g} among them"
            raise refuse("kind", self.kind, rule, "loss=mean_squared_error")
        return super().for_labels(labels, facts)

    def unweighted(self, logits: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        y = _per_output(logits, labels)
        if self.label_smoothing != 0:
            s = dials.live("label_smoothing", self.label_smoothing)
            y = (1 - s) * y + s / 2
        return _mean_sigmoid_cross_entropy(logits, y)

    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return _mean_sigmoid_cross_entropy(self.logits(outputs), _per_output(outputs, labels))

    def logits(self, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        if self.from_logits:
            return outputs
        p = tf.clip_by_value(outputs, SMALLEST, 1 - SMALLEST)
        return tf.math.log(p) - tf.math.log1p(-p)

    def marks(self, label: str = "") -> bool:
        return True

    def predictions(self, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.sigmoid(outputs) if self.from_logits else outputs


def is_single_unit(shape: Sequence[int | None], label: Feature) -> bool:
    """Whether outputs of this shape are one number where the label names one of two classes."""
    return label.classes == 2 and tuple(shape) == (*label.shape, 1)


def _negative_log_likelihood(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _per_output(outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """A label for each output: one-hot for a class, and numbers as they are."""
    import tensorflow as tf

    if labels.dtype.is_floating:
        return labels
    return tf.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)


def _mean_sigmoid_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses, axis=-1)
