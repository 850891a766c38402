"""What a loss is: a frozen declaration of what training minimises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Kind, refuse

from ..data import Facts

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..scheduled.dials import Dials

Labels = NDArray[np.int32] | NDArray[np.float32]
Tasks = tuple[Literal["classes", "numbers"], ...]


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

    tasks: ClassVar[Tasks] = ("classes", "numbers")
    """The sorts of labels that it is for."""
    activation: ClassVar[str | None] = None
    """What the loss applies to logits, such as `softmax`; None where it applies nothing."""

    def for_data(self, facts: Facts) -> Loss:
        """Returns the loss to use with data of these facts: this one, or one that suits them.

        Raises:
            Refused: when the loss or one of its settings does not suit the data.
        """
        if facts.task not in self.tasks:
            rule = f"is for labels that are {self.tasks[0]}, and the labels are {facts.task}"
            raise refuse("kind", self.kind, rule, "loss=auto is the one that suits them")
        return self

    def for_labels(self, labels: Labels, facts: Facts) -> Loss:
        """Returns the loss to use with these training labels; `for_data` comes after it.

        Raises:
            Refused: when the loss is not defined for some label, or not meant for them.
        """
        return self

    def step(
        self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor], dials: Dials
    ) -> tf.Tensor:
        """The loss of each example of a batch of inputs and labels, or one number for all.

        It runs the network, in training, within `dials.showing(row)`, and adds the penalties of the
        layers on weights and activations.
        """
        import tensorflow as tf

        inputs, labels = batch
        loss = self.training(tf.cast(model(inputs, training=True), tf.float32), labels, dials)
        for penalty in model.losses:
            loss += tf.cast(penalty, tf.float32)
        return loss

    def check_step(self, model: keras.Model, facts: Facts, dials: Dials) -> None:
        """Checks what a user's function in `step` returns, without any effect on the model.

        Raises:
            Refused: when the function raises, or returns no loss of this model.
        """

    @abstractmethod
    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        """The loss of each example, within `dials.showing(row)`."""

    @abstractmethod
    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The loss of each example in evaluations; `eval_loss` is the mean over all."""

    def predictions(self, outputs: tf.Tensor) -> tf.Tensor:
        """What outputs predict: a probability of each class, or numbers like the labels."""
        return outputs
