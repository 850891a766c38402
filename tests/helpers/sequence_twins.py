"""How Keras trains what the sections of docs/tasks.md on texts, sequences and tables train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.helpers.keras_steps import fit_step
from tests.helpers.tasks import ByKeras, Twin
from trainer.keras_schedule import KerasSchedule

ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Adam(keras.optimizers.Adam):  # type: ignore[misc]
    """Keras' Adam, by gradients of whole tables.

    That of an embedding comes with a slice for each id of the batch, and Keras' rule squares the
    slices of an id one by one instead of their sum, which is what the run takes.
    """

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        return super().apply([tf.convert_to_tensor(grad) for grad in grads], trainable_variables)


def fitted(loss: Any) -> Callable[[Twin], list[float]]:
    """A function that trains a twin by `fit` with a loss of Keras."""

    def losses(twin: Twin) -> list[float]:
        model, inputs = twin.model, twin.data.train.inputs
        if isinstance(inputs, Mapping) and len(inputs) == 1:  # `fit` finds no single one by name
            model = keras.Model(dict(zip(inputs, model.inputs, strict=True)), model.output)
        return twin.fit_losses(model, optimizer=Adam(twin.rate()), loss=loss)

    return losses


def several(twin: Twin) -> list[float]:
    """The weight of the second loss grows, which `compile` takes no schedule for."""
    growing = {"kind": "linear", "initial_value": 0.0, "end_value": 1.0}
    weight = KerasSchedule(growing, twin.experiment.clock())
    adam = Adam(twin.rate())
    huber = keras.losses.Huber()

    def step(model: keras.Model, batch: Any) -> Any:
        inputs, labels = batch
        outputs = model(inputs, training=True)
        buys = ENTROPY(labels["buys"], outputs["buys"])
        return buys + weight(adam.iterations) * huber(labels["spends"], outputs["spends"])

    return fit_step(twin, adam, step=step)


def retrieved(twin: Twin) -> list[float]:
    """By one-hot labels: of the films of a batch, each user's own is on the diagonal."""
    entropy = keras.losses.CategoricalCrossentropy(from_logits=True)

    def step(model: keras.Model, batch: Any) -> Any:
        of_user, of_film = model([batch[0]["user"][:, 0], batch[0]["film"][:, 0]], training=True)
        scores = keras.ops.einsum("iv,jv->ij", of_user, of_film)
        return entropy(tf.eye(tf.shape(scores)[0]), scores)

    return fit_step(twin, Adam(twin.rate()), step=step)


def ranked(twin: Twin) -> list[float]:
    """ListNet is a cross entropy, with the softmax of the relevance for its labels."""
    relevance = twin.data.train.labels
    exponents = np.exp(relevance - relevance.max(axis=1, keepdims=True))
    shares = exponents / exponents.sum(axis=1, keepdims=True)
    train = replace(twin.data.train, labels=shares.astype(np.float32))
    by_shares = replace(twin, data=replace(twin.data, train=train), timed=twin.timed)
    return fitted(keras.losses.CategoricalCrossentropy(from_logits=True))(by_shares)


TWINS = {
    "Classify texts by a transformer": ByKeras(fitted(ENTROPY), 0.001),
    "Classify texts by an LSTM": ByKeras(fitted(ENTROPY), 0.001),
    "Continue a text: a language model": ByKeras(fitted(ENTROPY), 0.001),
    "Turn sequences into sequences": ByKeras(fitted(ENTROPY), 0.001),
    "Read what is spelt: CTC": ByKeras(fitted(keras.losses.CTC()), 0.001),
    "Learn from a table with categories and holes": ByKeras(fitted("mse"), 0.001),
    "Forecast a series": ByKeras(fitted("mse"), 0.001),
    "Predict several things at a time": ByKeras(several, 0.001),
    "Let examples count for more, or less": ByKeras(fitted("mse"), 0.001),
    "Mark with several labels at a time": ByKeras(
        fitted(keras.losses.BinaryCrossentropy(from_logits=True)), 0.001
    ),
    "Recommend by two towers": ByKeras(retrieved, 0.001),
    "Rank answers": ByKeras(ranked, 0.001),
    "Fine-tune by LoRA": ByKeras(fitted(ENTROPY), 0.001),
}
