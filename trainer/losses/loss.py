"""What a loss is: a frozen declaration of what training makes small."""

from __future__ import annotations

from abc import abstractmethod
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

    `training` is made small and may carry what helps learning, such as smoothed labels; scheduled
    fields are read from the dials of the update. `evaluation` is what is told of the test examples
    and has nothing of the sort, so that runs which learn differently can be compared.
    """

    tasks: ClassVar[Tasks] = ("classes", "numbers")
    """The sorts of labels that it is worked out for."""
    activation: ClassVar[str | None] = None
    """What makes probabilities of the outputs that it takes, where that is its own affair."""

    def fitting(self, facts: Facts) -> Loss:
        """The loss to use with data of these facts: this one, where it is suited to them.

        Raises:
            Refused: when it isn't, or has settings that aren't.
        """
        if facts.task not in self.tasks:
            rule = f"is for labels that are {self.tasks[0]}, and the labels are {facts.task}"
            raise refuse("kind", self.kind, rule, "loss=auto is the one that suits them")
        return self

    def seen(self, labels: Labels, facts: Facts) -> Loss:
        """The loss to use once the labels that train are known.

        Raises:
            Refused: when it is not worked out for such labels.
        """
        return self

    def step(
        self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor], dials: Dials
    ) -> tf.Tensor:
        """The loss of each example of a batch of inputs and labels, or one number for all.

        It runs the network, in training, within `dials.showing(row)`, and adds the penalties that
        its layers have on weights and activations.
        """
        import tensorflow as tf

        inputs, labels = batch
        loss = self.training(tf.cast(model(inputs, training=True), tf.float32), labels, dials)
        for penalty in model.losses:  # of weights or activations, where its layers have some
            loss += tf.cast(penalty, tf.float32)
        return loss

    def try_step(self, model: keras.Model, facts: Facts, dials: Dials) -> None:
        """Tries out what is not our own in `step`, without any effect on the model.

        Raises:
            Refused: when it gives something else than it should.
        """

    @abstractmethod
    def training(self, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials) -> tf.Tensor:
        """The loss of each example, within `dials.showing(row)`."""

    @abstractmethod
    def evaluation(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """What is told of each example; `eval_loss` is the mean over all."""

    def predictions(self, outputs: tf.Tensor) -> tf.Tensor:
        """What outputs say: a probability of each class, or the numbers that labels are."""
        return outputs
