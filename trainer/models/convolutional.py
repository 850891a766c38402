"""Convolutional networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import Problem

from .dense import Dense, sequential
from .model import OfImages, Size

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Cnn(Dense, OfImages):
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
        flow += [layers.Flatten(name="flatten"), *self.dense(dials)]
        return sequential(shape, [*flow, layers.Dense(outputs, name="logits")])


class Resnet(OfImages):
    """A residual network for small images, of 6n + 2 layers with weights.

    A 3x3 convolution, then three stages of n blocks of two of them, of `width`, twice and four
    times as many channels; the second and third stage begin by halving the image. The way around
    a block has no weights: where the image is halved, every other pixel of it and channels of
    zeros. Batch normalization and ReLU come after each convolution, and the mean over the image
    goes to the logits.
    Source: He et al. 2015, arXiv 1512.03385, section 4.2, their option A. The running mean and
    variance keep 0.9 of what they were at each update, as in torch, and 0.99 in Keras.
    """

    kind: Literal["resnet"] = "resnet"
    depth: Size = 20
    """How many layers have weights: 8, 14, 20, 26, 32 and so on; the paper's are from 20 on."""
    width: Size = 16
    """The channels of the first stage."""

    def contradictions(self) -> Iterator[Problem]:
        if self.depth < 8 or self.depth % 6 != 2:
            below = max(8, (self.depth - 2) // 6 * 6 + 2)
            hint = f"model.depth={below} or {below + 6}"
            yield Problem("depth", self.depth, "must be 6n + 2, such as 8, 14, 20 or 32", hint)

    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        import keras
        from keras import layers

        inputs = keras.Input(shape, name="inputs")
        x = _convolved(inputs, self.width, 1, "first")
        x = layers.ReLU(name="first_relu")(x)
        for stage in range(3):
            for block in range((self.depth - 2) // 6):
                stride = 2 if stage and not block else 1
                x = _block(x, self.width * 2**stage, stride, f"stage_{stage + 1}_{block + 1}")
        x = layers.GlobalAveragePooling2D(name="mean")(x)
        logits = layers.Dense(outputs, name="logits")(x)
        return keras.Model(inputs, logits, name="model")


def _block(x: Any, channels: int, stride: int, name: str) -> Any:
    import keras
    from keras import layers

    y = layers.ReLU(name=f"{name}_a_relu")(_convolved(x, channels, stride, f"{name}_a"))
    y = _convolved(y, channels, 1, f"{name}_b")
    if stride > 1:
        missing = channels - x.shape[-1]
        # A mean of one pixel is it, and has a gradient that XLA can work out deterministically.
        halved = layers.AveragePooling2D(
            1, strides=stride, padding="same", name=f"{name}_every_other"
        )
        pad = [[0, 0], [0, 0], [0, 0], [missing // 2, missing - missing // 2]]
        x = keras.ops.pad(halved(x), pad)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_sum")([x, y]))


def _convolved(x: Any, channels: int, stride: int, name: str) -> Any:
    """A convolution and its normalization. It needs no bias: the normalization has one."""
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
