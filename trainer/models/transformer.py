"""Transformers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Problem, refuse

from ..data import Facts
from .layer_norm import layer_norm
from .model import ImageModel, Rate, Size
from .self_attention import join_projections

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Vit(ImageModel):
    """A small vision transformer: attention between patches of an image.

    Patches are projected to `width` numbers, and their positions are added. Each of `depth` blocks
    adds attention, then two dense layers with a GELU between them, each after a layer
    normalization. The mean over the patches goes to the logits.
    Source: Dosovitskiy et al. 2020, arXiv 2010.11929, simplified as in Beyer et al. 2022,
    arXiv 2205.01580: positions are fixed sines and cosines instead of learnt ones, and the mean
    takes the place of a class token.
    """

    kind: Literal["vit"] = "vit"
    patch_size: Size = 4
    """The side of a patch in pixels; it must divide both sides of the image."""
    width: Size = 64
    """How many numbers stand for a patch."""
    depth: Size = 4
    """How many blocks there are."""
    heads: Size = 4
    """How many attention heads a block has; they share its width."""
    expansion: Size = 2
    """The width of a block's inner dense layer, in multiples of `width`."""
    dropout: Rate = 0.0
    """The share of the outputs of attention and dense layers that is left out while training."""

    def contradictions(self) -> Iterator[Problem]:
        if self.width % 4:
            rule = "must be a multiple of 4, half for where a patch is across and half for down"
            yield Problem("width", self.width, rule, f"model.width={-(-self.width // 4) * 4}")
        if self.width % self.heads:
            rule = f"must divide width, {self.width}"
            yield Problem("heads", self.heads, rule, "model.heads=4")

    def check(self, facts: Facts) -> None:
        super().check(facts)
        height, width, _ = facts.shape
        if height % self.patch_size or width % self.patch_size:
            sides = [n for n in range(1, min(height, width) + 1) if not height % n | width % n]
            rule = f"must divide the sides of the data's images, {height} and {width}"
            hint = f"known: {', '.join(map(str, sides))}"
            raise refuse("model.patch_size", self.patch_size, rule, hint)

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras
        from keras import layers

        from ..scheduled.layers import dropout

        side, width = self.patch_size, self.width
        rows, columns = facts.shape[0] // side, facts.shape[1] // side

        def dropped(x: Any, name: str) -> Any:
            return dropout(dials.live("dropout", self.dropout), name)(x) if self.dropout else x

        inputs = keras.Input(facts.shape, name=facts.input_name)
        x = layers.Conv2D(width, side, strides=side, name="patches")(inputs)
        x = layers.Reshape([rows * columns, width], name="row")(x)
        encoding = keras.ops.convert_to_tensor(positions(rows, columns, width)[None], dtype=x.dtype)
        x = keras.ops.add(x, encoding)
        for i in range(1, self.depth + 1):
            y = layer_norm(f"attention_norm_{i}")(x)
            attention = layers.MultiHeadAttention(
                self.heads, width // self.heads, name=f"attention_{i}"
            )
            join_projections(attention)
            y = dropped(attention(y, y), f"attention_dropout_{i}")
            x = layers.Add(name=f"attention_sum_{i}")([x, y])
            y = layer_norm(f"dense_norm_{i}")(x)
            y = layers.Dense(self.expansion * width, "gelu", name=f"dense_{i}_a")(y)
            y = layers.Dense(width, name=f"dense_{i}_b")(y)
            x = layers.Add(name=f"dense_sum_{i}")([x, dropped(y, f"dense_dropout_{i}")])
        x = layer_norm("norm")(x)
        x = layers.GlobalAveragePooling1D(name="mean")(x)
        logits = layers.Dense(facts.outputs, name="logits")(x)
        return keras.Model(inputs, logits, name="model")


def positions(rows: int, columns: int, width: int) -> NDArray[np.float32]:
    """The position encoding of each patch, `[rows * columns, width]`, row by row.

    A quarter of the width each is `sin(x * w)`, `cos(x * w)`, `sin(y * w)` and `cos(y * w)`, with
    `w` from 1 down to 1/10000, evenly in the logarithm.
    """
    y, x = np.divmod(np.arange(rows * columns), columns)
    w = 10000.0 ** -np.linspace(0, 1, width // 4)
    angles = [np.outer(coordinate, w) for coordinate in (x, y)]
    parts = [function(angle) for angle in angles for function in (np.sin, np.cos)]
    return np.concatenate(parts, axis=1).astype(np.float32)
