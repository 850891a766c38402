"""Convolutional networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import Problem

from ..data import Facts
from .dense import Dense, sequential
from .model import ImageModel, Size

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Cnn(Dense, ImageModel):
    """A convolutional network as in LeNet: convolutions, each with a pooling, then dense layers."""

    kind: Literal["cnn"] = "cnn"
    filters: tuple[Size, ...] = (32, 64)
    """The channels of each convolution; after each one the image is halved."""
    kernel_size: Size = 3
    """The side of each convolution's window."""

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        from keras import layers

        stack: list[Any] = []
        for i, filters in enumerate(self.filters, start=1):
            convolution = layers.Conv2D(
                filters,
                self.kernel_size,
                padding="same",
                activation=self.activation,
                name=f"conv_{i}",
            )
            stack += [convolution, layers.MaxPooling2D(name=f"pool_{i}")]
        stack += [layers.Flatten(name="flatten"), *self.dense(dials)]
        return sequential(facts, [*stack, layers.Dense(facts.outputs, name="logits")])


class Resnet(ImageModel):
    """A residual network for small images, of 6n + 2 layers with weights.

    A 3x3 convolution, then three stages of n blocks of two 3x3 convolutions, with `width`, twice
    and four times as many channels; the second and third stage begin by halving the image. The
    shortcut around a block has no weights: where the image is halved, it takes every other pixel
    and adds channels of zeros. Batch normalization and ReLU come after each convolution, and the
    mean over the image goes to the logits.
    Source: He et al. 2015, arXiv 1512.03385, section 4.2, their option A. The running mean and
    variance keep 0.9 of their value at each update, as in torch; Keras' default is 0.99.
    """

    kind: Literal["resnet"] = "resnet"
    depth: Size = 20
    """How many layers have weights: 8, 14, 20, 26, 32 and so on; the paper has 20 and more."""
    width: Size = 16
    """The channels of the first stage."""

    def contradictions(self) -> Iterator[Problem]:
        if self.depth < 8 or self.depth % 6 != 2:
            below = max(8, (self.depth - 2) // 6 * 6 + 2)
            hint = f"model.depth={below} or {below + 6}"
            yield Problem("depth", self.depth, "must be 6n + 2, such as 8, 14, 20 or 32", hint)

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras
        from keras import layers

        inputs = keras.Input(facts.shape, name=facts.input_name)
        x = _conv_norm(inputs, self.width, 1, "first")
        x = layers.ReLU(name="first_relu")(x)
        for stage in range(3):
            for block in range((self.depth - 2) // 6):
                stride = 2 if stage and not block else 1
                x = _block(x, self.width * 2**stage, stride, f"stage_{stage + 1}_{block + 1}")
        x = layers.GlobalAveragePooling2D(name="mean")(x)
        logits = layers.Dense(facts.outputs, name="logits")(x)
        return keras.Model(inputs, logits, name="model")


def _block(x: Any, channels: int, stride: int, name: str) -> Any:
    import keras
    from keras import layers

    y = layers.ReLU(name=f"{name}_a_relu")(_conv_norm(x, channels, stride, f"{name}_a"))
    y = _conv_norm(y, channels, 1, f"{name}_b")
    if stride > 1:
        added = channels - x.shape[-1]
        # The mean of one pixel is that pixel, and XLA can compute its gradient deterministically.
        halved = layers.AveragePooling2D(
            1, strides=stride, padding="same", name=f"{name}_every_other"
        )
        pad = [[0, 0], [0, 0], [0, 0], [added // 2, added - added // 2]]
        x = keras.ops.pad(halved(x), pad)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_sum")([x, y]))


def _conv_norm(x: Any, channels: int, stride: int, name: str) -> Any:
    """A convolution and its batch normalization, which has the bias for both."""
    from keras import layers

    convolution = layers.Conv2D(
        channels,
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(
        convolution(x)
    )
