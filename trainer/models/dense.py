"""Dense layers, alone or after other layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from ..data import Facts
from .model import Activation, Model, Rate, Size

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Dense(Model):
    """A model with hidden dense layers before the logits."""

    hidden: tuple[Size, ...] = (128,)
    """The width of each hidden dense layer; an empty list for no hidden layer."""
    activation: Activation = "relu"
    """The activation after each hidden layer."""
    dropout: Rate = 0.0
    """The share of each hidden dense layer's outputs left out while training."""

    def dense(self, dials: Dials) -> Iterator[Any]:
        """Yields the hidden layers, in their order."""
        from keras import layers

        from ..scheduled.layers import dropout

        for i, width in enumerate(self.hidden, start=1):
            yield layers.Dense(width, activation=self.activation, name=f"dense_{i}")
            if self.dropout:
                yield dropout(dials.live("dropout", self.dropout), name=f"dropout_{i}")


class Mlp(Dense):
    """A multilayer perceptron: dense layers on the flattened input."""

    kind: Literal["mlp"] = "mlp"

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        from keras import layers

        hidden = [layers.Flatten(name="flatten"), *self.dense(dials)]
        return sequential(facts, [*hidden, layers.Dense(facts.outputs, name="logits")])


def sequential(facts: Facts, stack: list[Any]) -> keras.Model:
    """A model of the layers one after another."""
    import keras

    inputs = keras.Input(facts.shape, name=facts.input_name)
    return keras.Sequential([inputs, *stack], name="model")
