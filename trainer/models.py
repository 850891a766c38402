"""What learns: declared kinds of networks, built with Keras."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from schedules.declaration import Kind, Whole

from .scheduled import Bounds, Value

if TYPE_CHECKING:
    import keras

    from .live import Dials

Size = Annotated[Whole, Field(ge=1)]
Rate = Annotated[Value, Bounds(ge=0, lt=1)]
Activation = Literal["relu", "gelu", "silu", "elu", "tanh", "sigmoid"]


class Model(Kind, family=True):
    """A network from inputs of one shape to a logit a class, or to the numbers to predict.

    `build` names every layer, so that a weight's path is the same in every process and a
    checkpoint can tell which is which.
    """

    @abstractmethod
    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        """The network, its weights drawn from Keras' global seed, its scheduled fields on dials.

        It is trained within `dials.showing(row)`.
        """


class _Dense(Model):
    """The dense layers before the logits."""

    hidden: tuple[Size, ...] = (128,)
    """The width of each hidden dense layer; none goes straight to the logits."""
    activation: Activation = "relu"
    """After each hidden layer."""
    dropout: Rate = 0.0
    """The share of each hidden dense layer's outputs left out while training."""

    def _dense(self, dials: Dials) -> Iterator[Any]:
        from keras import layers

        from .layers import dropout

        for i, width in enumerate(self.hidden, start=1):
            yield layers.Dense(width, activation=self.activation, name=f"dense_{i}")
            if self.dropout:
                yield dropout(dials.live("dropout", self.dropout), name=f"dropout_{i}")


class Mlp(_Dense):
    """A multilayer perceptron: dense layers on the flattened input."""

    kind: Literal["mlp"] = "mlp"

    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        from keras import layers

        flow = [layers.Flatten(name="flatten"), *self._dense(dials)]
        return _sequential(shape, [*flow, layers.Dense(outputs, name="logits")])


class Cnn(_Dense):
    """A convolutional network as in LeNet: convolution and pooling in turn, then dense layers."""

    kind: Literal["cnn"] = "cnn"
    filters: tuple[Size, ...] = (32, 64)
    """The channels of each convolution; each is followed by a halving of the image."""
    kernel_size: Size = 3
    """The side of each convolution's window."""

    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        from keras import layers

        flow: list[Any] = []
        for i, filters in enumerate(self.filters, start=1):
            convolution = layers.Conv2D(
                filters,
                self.kernel_size,
                padding="same",
                activation=self.activation,
                name=f"conv_{i}",
            )
            flow += [convolution, layers.MaxPooling2D(name=f"pool_{i}")]
        flow += [layers.Flatten(name="flatten"), *self._dense(dials)]
        return _sequential(shape, [*flow, layers.Dense(outputs, name="logits")])


def _sequential(shape: tuple[int, ...], flow: list[Any]) -> keras.Model:
    import keras

    return keras.Sequential([keras.Input(shape, name="inputs"), *flow], name="model")
