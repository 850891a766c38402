"""U-Nets: from an image to a class, or to numbers, at each of its places."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import refuse

from ..data import Facts
from .model import ImageModel, Rate, Size

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

GROUPS = 8
"""In how many groups of channels `norm: group` normalizes, where so many divide the channels."""


class Unet(ImageModel):
    """A U-Net: down by halves, up again, and across at every size.

    Each of `depth` levels has two 3x3 convolutions and then halves the image by its maxima, and the
    channels double: `width`, twice, four times as many. Two more convolutions are at the bottom. On
    the way up a 2x2 transposed convolution doubles the image, what the level had on the way down is
    set beside it, and two convolutions follow; a 1x1 convolution gives the outputs, a logit for
    each class at each place, or the numbers. Normalization and ReLU come after each convolution.
    Source: Ronneberger, Fischer & Brox 2015, arXiv 1505.04597. Other than there, images are padded,
    so that outputs have their size, and there is normalization.
    """

    kind: Literal["unet"] = "unet"
    depth: Size = 3
    """How often the image is halved; 2 to this power must divide both of its sides."""
    width: Size = 16
    """The channels of the first level; the paper has 64."""
    norm: Literal["batch", "group", "none"] = "batch"
    """What comes after each convolution: normalization over the batch, as in `resnet`; over groups
    of channels, which suits small batches; or none."""
    dropout: Rate = 0.0
    """The share of the outputs at the bottom that is left out while training."""

    def check(self, facts: Facts) -> None:
        self.check_images(facts)
        height, width, _ = facts.shape
        self.check_single_label(facts)
        outputs = facts.label.outputs
        if len(outputs) not in (2, 3) or outputs[:2] != (height, width):
            rule = (
                f"gives a class, or numbers, at each place of images of {height}x{width}, "
                f"and the data has {facts.label.described()}"
            )
            raise refuse("model", self.kind, rule, "model=cnn gives an image one label")
        if height % 2**self.depth or width % 2**self.depth:
            rule = f"halves images of {height}x{width} that often, and 2^{self.depth} does not"
            rule += " divide both sides"
            depth = (gcd(height, width) & -gcd(height, width)).bit_length() - 1
            hint = f"model.depth={depth}"
            if depth < 1:
                h, w = (-(-side // 2**self.depth) * 2**self.depth for side in (height, width))
                hint = f"bring images of {h}x{w}, as data.size=[{h},{w}] makes them of files"
            raise refuse("model.depth", self.depth, rule, hint)

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras
        from keras import layers

        from ..scheduled.layers import dropout

        inputs = x = keras.Input(facts.shape, name=facts.input_name)
        across = []
        for level in range(1, self.depth + 1):
            x = self._block(x, self.width * 2 ** (level - 1), f"down_{level}")
            across.append(x)
            x = layers.MaxPooling2D(name=f"down_{level}_pool")(x)
        x = self._block(x, self.width * 2**self.depth, "bottom")
        if self.dropout:
            x = dropout(dials.live("dropout", self.dropout), name="dropout")(x)
        for level in range(self.depth, 0, -1):
            channels = self.width * 2 ** (level - 1)
            x = layers.Conv2DTranspose(channels, 2, strides=2, name=f"up_{level}_double")(x)
            x = layers.Concatenate(name=f"up_{level}_beside")([across[level - 1], x])
            x = self._block(x, channels, f"up_{level}")
        outputs = facts.outputs if len(facts.label.outputs) == 3 else 1
        return keras.Model(inputs, layers.Conv2D(outputs, 1, name="logits")(x), name="model")

    def _block(self, x: Any, channels: int, name: str) -> Any:
        """Two convolutions, each with its normalization and a ReLU."""
        from keras import layers

        for part in ("a", "b"):
            x = layers.Conv2D(
                channels,
                3,
                padding="same",
                use_bias=self.norm == "none",
                kernel_initializer="he_normal",
                name=f"{name}_{part}_conv",
            )(x)
            if self.norm == "batch":
                x = layers.BatchNormalization(
                    momentum=0.9, epsilon=1e-5, name=f"{name}_{part}_norm"
                )(x)
            elif self.norm == "group":
                groups = gcd(GROUPS, channels)
                x = layers.GroupNormalization(groups, name=f"{name}_{part}_norm")(x)
            x = layers.ReLU(name=f"{name}_{part}_relu")(x)
        return x
