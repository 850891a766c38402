"""What a loss is: a frozen declaration of what training minimises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Kind, refuse

from ..data import Facts
from ..data.label_task import Task
from ..data.trees import Tree
from ..scheduled.fields import Driven, driven

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..data.feeds.batch import Batch
    from ..scheduled.dials import Dials
    from ..scheduled.draws import Draws

Labels = NDArray[np.int32] | NDArray[np.float32]
Tasks = tuple[Literal["classes", "numbers"], ...]


class Outputs(NamedTuple):
    """What a network gives for a batch."""

    values: Tree[tf.Tensor]
    """In float32, one array or one for each label by its name."""
    masks: Tree[tf.Tensor | None]
    """What layers such as `Masking` say is there: False at places that count for nothing."""


class Measured(NamedTuple):
    """What a batch comes to while training."""

    loss: tf.Tensor
    """The number that is made small."""
    parts: dict[str, tf.Tensor]
    """Other numbers of the batch by the names that rows give them, such as parts of the loss."""
    by_group: Mapping[str, tf.Tensor] = MappingProxyType({})
    """What each group of weights makes small, where they differ; `loss` is then their sum."""


class StepNames(NamedTuple):
    """What a user's function returns, by name."""

    parts: tuple[str, ...] = ()
    """The numbers that rows have besides the loss."""
    groups: tuple[str, ...] = ()
    """The groups of weights with a loss of their own."""


class Forward(Protocol):
    """A network called with the inputs of a batch: `trainer.engine.forward.Forward`."""

    @property
    def model(self) -> keras.Model: ...

    def __call__(self, inputs: Tree[tf.Tensor], *, training: bool) -> Outputs: ...

    def penalties(self) -> list[tf.Tensor]: ...


class Loss(Kind, family=True):
    """How far the outputs of a network are from what they should be.

    Updates minimise `training`, which may have what helps learning, such as smoothed labels; its
    scheduled fields are read from the dials of the update. `evaluation` is the plain loss of
    the test examples: runs that learn differently can be compared by it.
    """

    foreign_names: ClassVar[Mapping[str, str]] = {
        # Keras
        "categoricalcrossentropy": "cross_entropy",
        "sparsecategoricalcrossentropy": "cross_entropy",
        "binarycrossentropy": "binary_cross_entropy",
        "categoricalfocalcrossentropy": "focal",
        "binaryfocalcrossentropy": "focal",
        "mse": "mean_squared_error",
        "mae": "mean_absolute_error",
        # torch
        "crossentropyloss": "cross_entropy",
        "nllloss": "cross_entropy",
        "bceloss": "binary_cross_entropy",
        "bcewithlogitsloss": "binary_cross_entropy",
        "mseloss": "mean_squared_error",
        "l1loss": "mean_absolute_error",
        "smoothl1loss": "huber",
        "huberloss": "huber",
        "poissonnllloss": "poisson",
    }

    key_hints: ClassVar[Mapping[str, str]] = {
        "values": "loss={kind: given, values: {…}} for the step that a program gives; or loss=step",
        "evaluated": "loss={kind: given, evaluated: {…}} for the step that a program gives; "
        "or loss=step",
    }
    tasks: ClassVar[Tasks] = ("classes", "numbers")
    """The sorts of labels that it is for."""
    measures_unknown: ClassVar[bool] = False
    """Whether only a trial tells what it measures besides the loss."""
    activation: ClassVar[str | None] = None
    """What the loss applies to logits, such as `softmax`; None where it applies nothing."""

    def asked_tasks(self) -> dict[str, Task]:
        """What it takes labels for that may be classes or numbers, by their names; '' is for all
        others.
        """
        asked: dict[Tasks, Task] = {("classes",): "classification", ("numbers",): "regression"}
        return {"": asked.get(self.tasks, "auto")}

    def for_data(self, facts: Facts) -> Loss:
        """Returns the loss to use with data of these facts: this one, or one that suits them.

        Raises:
            Refused: when the loss or one of its settings does not suit the data.
        """
        if facts.task not in self.tasks:
            rule = f"is for labels that are {self.tasks[0]}, and the labels are {facts.task}"
            raise refuse("kind", self.kind, rule, "loss=auto is the one that suits them")
        return self

    def for_labels(self, labels: Any, facts: Facts) -> Loss:
        """Returns the loss to use with these training labels; `for_data` comes after it.

        Raises:
            Refused: when the loss is not defined for some label, or not meant for them.
        """
        return self

    def for_outputs(self, shapes: Tree[tuple[int | None, ...]], facts: Facts) -> Loss:
        """Returns the loss to use with a network that gives outputs of these shapes, `[…]` each."""
        return self

    def without_outputs(self) -> Loss:
        """Returns the loss to use with a network whose outputs no label is compared with."""
        return self

    def suited(self, outputs: Tree[tf.Tensor], facts: Facts) -> Tree[tf.Tensor]:
        """The outputs with the axes that the labels want, whatever of 1 there is too many or few.

        A single output for two classes becomes two.
        """
        assert not isinstance(outputs, Mapping)
        rank = len(facts.label.outputs) + 1
        if len(outputs.shape) == rank + 1 and outputs.shape[-1] == 1:
            return outputs[..., 0]
        return outputs[..., None] if len(outputs.shape) == rank - 1 else outputs

    def step(self, forward: Forward, batch: Batch, dials: Dials) -> Measured:
        """What a batch comes to: it runs the network, in training, within `dials.showing(row)`.

        The loss is the mean over all examples, and over all places of one, times their weights.
        Places that are masked count for nothing. The penalties of the layers on weights and
        activations are added, and are a part of their own, `penalties`.
        """
        import tensorflow as tf

        values, masks = forward(batch.inputs, training=True)
        losses = self.training(values, batch.labels, dials)
        penalties = forward.penalties()
        if batch.weights is None and masks is None:
            for penalty in penalties:
                losses += penalty
            loss = tf.reduce_mean(losses)
        else:
            loss = tf.add_n([mean_loss(losses, batch.weights, masks), *penalties])
        return Measured(loss, {"penalties": tf.add_n(penalties)} if penalties else {})

    def part_names(self) -> tuple[str, ...]:
        """The names of the parts that `step` measures, but for the penalties of layers."""
        return ()

    def check_step(
        self, model: keras.Model, facts: Facts, dials: Dials, draws: Draws, batch_size: int
    ) -> StepNames:
        """Checks what a user's function in `step` returns, without any effect on the model.

        Raises:
            Refused: when the function raises, or returns no loss of this model.
        """
        return StepNames()

    def driven(self, *path: str) -> dict[str, Driven]:
        """What a schedule drives of it, by its name on the tape; the loss stands at `path`."""
        return driven(self, *path)

    @abstractmethod
    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        """The loss of each example, or of each place of one, within `dials.showing(row)`."""

    @abstractmethod
    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The loss of each example in evaluations; `eval_loss` is the mean over all."""

    def marks(self, label: str = "") -> bool:
        """Whether numbers to predict, those of a label by its name, mark classes by 1, others by 0.

        Predictions are then probabilities.
        """
        return False

    @property
    def compared(self) -> Loss | None:
        """The loss that compares outputs with labels; None where a step does as it likes."""
        return self

    def judged(
        self, forward: Forward, outputs: Outputs | None, batch: Batch, real: int
    ) -> dict[str, Any]:
        """The sums of a batch of test examples, from which those of all `from_sums` makes the loss.

        Only the first `real` examples count. `outputs` are those of the network for them, None
        where nothing asks for them.
        """
        assert outputs is not None
        batch = batch.rows(slice(0, real)) if real < batch.size else batch
        return self.sums(outputs, batch.labels, batch.weights)

    def sums(
        self, outputs: Outputs, labels: Tree[tf.Tensor], weights: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        """As `judged`, for outputs and labels."""
        import tensorflow as tf

        losses = self.evaluation(outputs.values, labels)
        if weights is None and outputs.masks is None:
            return {"sum": tf.reduce_sum(losses), "count": tf.size(losses)}
        total, count = weighted_sum(losses, weights, outputs.masks)
        return {"sum": total, "count": count}

    def from_sums(self, sums: Mapping[str, float]) -> dict[str, float]:
        """The loss, and its parts by name, from the sums of all batches."""
        return {"loss": sums["sum"] / sums["count"]}

    def predictions(self, outputs: tf.Tensor) -> tf.Tensor:
        """What outputs predict: a probability of each class, or numbers like the labels."""
        return outputs


def mean_loss(losses: tf.Tensor, weights: tf.Tensor | None, mask: tf.Tensor | None) -> tf.Tensor:
    """The mean of losses `[n, …]`, times the weights of their examples, of what is not masked."""
    import tensorflow as tf

    if weights is None and mask is None:
        return tf.reduce_mean(losses)
    total, count = weighted_sum(losses, weights, mask)
    return total / count


def weighted_sum(
    losses: tf.Tensor, weights: tf.Tensor | None, mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """The sum of losses `[n, …]` times the weights of their examples, and how many there are.

    Those that are masked are left out of both. The quotient is that of Keras'
    `sum_over_batch_size`: weights are not divided by their mean.
    """
    import tensorflow as tf

    count = tf.cast(tf.size(losses), losses.dtype)
    if weights is not None:
        losses *= tf.reshape(weights, [-1, *[1] * (len(losses.shape) - 1)])
    if mask is not None and len(mask.shape) <= len(losses.shape):
        there = tf.cast(mask, losses.dtype)
        for _ in range(len(losses.shape) - len(mask.shape)):
            there = there[..., None]
        there = tf.broadcast_to(there, tf.shape(losses))
        losses *= there
        count = tf.maximum(tf.reduce_sum(there), 1.0)
    return tf.reduce_sum(losses), count
