"""How Keras trains what the sections of docs/tasks.md on pictures and on what makes them train."""

from __future__ import annotations

from math import ceil

import keras
import numpy as np
import tensorflow as tf

from tests.helpers.keras_steps import Part, fit_step
from tests.helpers.tasks import ByKeras, Twin
from trainer.keras_schedule import KerasSchedule

ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classes(twin: Twin) -> list[float]:
    return twin.fit_losses(optimizer=keras.optimizers.Adam(twin.rate()), loss=ENTROPY)


def numbers(twin: Twin) -> list[float]:
    return twin.fit_losses(optimizer=keras.optimizers.Adam(twin.rate()), loss="mse")


def unequal(twin: Twin) -> list[float]:
    counts = np.bincount(twin.data.train.labels)
    weights = {i: counts.sum() / (2 * count) for i, count in enumerate(counts)}
    adam = keras.optimizers.Adam(twin.rate())
    return twin.fit_losses(optimizer=adam, loss=ENTROPY, class_weight=weights)


def two_phases(twin: Twin) -> list[float]:
    """`trainable = False` up to the thaw, then the stages with an optimizer of their own."""

    def step(model, batch):  # type: ignore[no-untyped-def]
        return ENTROPY(batch[1], model(batch[0], training=True))

    thaw = ceil(0.3 * twin.experiment.total_steps())
    for layer in twin.model.layers:
        layer.trainable = layer.name == "logits"
    head = keras.optimizers.SGD(twin.rate(), momentum=0.9)
    first = fit_step(twin, head, step=step, updates=slice(thaw))
    for layer in twin.model.layers:
        layer.trainable = not layer.name.startswith("first_")
    body = keras.optimizers.SGD(twin.rate(0.3), momentum=0.9)
    body.iterations.assign(thaw)
    parts = {"head": Part(head, ("logits/",)), "body": Part(body, ("stage_",))}
    return first + fit_step(twin, parts, step=step, updates=slice(thaw, None))


def by_step(twin: Twin) -> list[float]:
    return fit_step(twin, keras.optimizers.Adam(twin.rate()))


def annealed(twin: Twin) -> list[float]:
    kl = {"kind": "linear", "initial_value": 0.0, "end_value": 1.0, "decay_steps": "50%"}
    values = {"kl": KerasSchedule(kl, twin.experiment.clock())}
    return fit_step(twin, keras.optimizers.Adam(twin.rate()), values)


def adversaries(twin: Twin) -> list[float]:
    falling = {"kind": "linear", "initial_value": 0.002, "end_value": 0.001}
    rates = {"generator": 0.001, "critic": KerasSchedule(falling, twin.experiment.clock())}
    adam = {name: keras.optimizers.Adam(rate, beta_1=0.5) for name, rate in rates.items()}
    parts = {name: Part(one, (f"{name}/",)) for name, one in adam.items()}
    return fit_step(twin, parts)


def averaged(twin: Twin) -> list[float]:
    return fit_step(twin, keras.optimizers.Adam(twin.rate(), use_ema=True, ema_momentum=0.99))


def distilled(twin: Twin) -> list[float]:
    return fit_step(twin, keras.optimizers.Adam(twin.rate()), {"alike": tf.constant(0.5)})


EXACT = 1e-4
"""Where nothing is drawn at random, only roundings differ."""

TWINS = {
    "Classify images from scratch": ByKeras(classes, EXACT),
    "Fine-tune in two phases": ByKeras(two_phases, EXACT),
    "Segment images": ByKeras(classes, EXACT),
    "Compress images with an autoencoder": ByKeras(numbers, EXACT),
    "Make images larger": ByKeras(numbers, EXACT),
    "Draw digits with a variational autoencoder": ByKeras(annealed, 0.03),
    "Draw points with a GAN": ByKeras(adversaries, 0.05),
    "Draw points by diffusion": ByKeras(averaged, 0.05),
    "Distil a large network into a small one": ByKeras(distilled, EXACT),
    "Tell pairs that are alike": ByKeras(by_step, EXACT),
    "Compute in half precision": ByKeras(classes, EXACT),
    "Learn from unequal classes": ByKeras(unequal, EXACT),
}
