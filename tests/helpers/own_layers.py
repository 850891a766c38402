"""Layers of a user's own, one that Keras can find by its registered name, and one that it can't."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("own_layers")
class Doubled(keras.layers.Layer):
    """Twice what it gets."""

    def call(self, x: Any) -> Any:
        return 2 * x


class Tripled(keras.Model):
    """A dense layer's outputs three times; Keras can't write down what it is made of."""

    def __init__(self, dense: Any, width: object) -> None:
        super().__init__()
        self.dense = dense
        self.width = width

    def call(self, x: Any) -> Any:
        return 3 * self.dense(x)

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError
