"""How Keras trains what the sections of docs/tasks.md on pictures and on what makes them train."""

from __future__ import annotations

import keras

from tests.helpers.tasks import ByKeras, Twin

ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classes(twin: Twin) -> float:
    return twin.fit(keras.optimizers.Adam(twin.rate), ENTROPY)


TWINS = {"Classify images from scratch": ByKeras(classes, 0.01)}
