"""Networks for text, as ids of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Flag, Problem

from ..data import Facts
from .layer_norm import layer_norm
from .model import Rate, Size
from .self_attention import join_projections
from .sequence import TokenModel, token_inputs
from .token_rows import leave_out_filling, put_in_filling

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Text(TokenModel):
    """A transformer, or convolutions, over token ids `[time]`.

    Ids get `width` numbers from a table that is learnt, to which fixed sines and cosines of their
    places are added. Each of `depth` blocks of a transformer adds attention, then two dense layers
    with a GELU between them, each after a layer normalization; a block of convolutions adds one
    over `kernel_size` neighbours, with a GELU, after a layer normalization. With one label a
    sequence, the mean over its tokens goes to the logits; with a label a step, every token does,
    which with `causal` has seen none of the tokens after it.
    Id 0 fills up short sequences: it is attended by none, is zeros to convolutions, and is left out
    of the mean, and of losses and metrics of labels at each step.
    Sources: Vaswani et al. 2017, arXiv 1706.03762, with the normalization before each part as in
    Xiong et al. 2020, arXiv 2002.04745; convolutions for text: Kim 2014, arXiv 1408.5882, with the
    mean in the place of the maximum.
    """

    kind: Literal["text"] = "text"
    encoder: Literal["transformer", "convolution"] = "transformer"
    """What the blocks are made of."""
    causal: Flag = False
    """Whether a token sees only itself and those before it, as where the next one is to be told."""
    depth: Size = 2
    """How many blocks there are."""
    heads: Size = 4
    """How many attention heads a block of a transformer has; they share its width."""
    expansion: Size = 2
    """The width of a transformer's inner dense layer, in multiples of `width`."""
    kernel_size: Size = 3
    """How many neighbours a convolution sees."""
    dropout: Rate = 0.0
    """The share of the outputs of attention, dense layers and convolutions that is left out while
    training."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.width % 2:
            rule = "must be even, half for the sines of places and half for the cosines"
            yield Problem("width", self.width, rule, f"model.width={self.width + 1}")
        elif self.encoder == "transformer" and self.width % self.heads:
            known = [n for n in range(1, self.width + 1) if not self.width % n]
            rule = f"must divide width, {self.width}"
            yield Problem("heads", self.heads, rule, f"known: {', '.join(map(str, known))}")

    def check(self, facts: Facts) -> None:
        self.check_single_input(facts)
        self.check_tokens(facts)
        self.check_label(facts)

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras
        from keras import layers, ops

        from ..scheduled.layers import dropout

        def dropped(x: Any, name: str) -> Any:
            return dropout(dials.live("dropout", self.dropout), name)(x) if self.dropout else x

        inputs = token_inputs(facts)
        is_token = ops.not_equal(inputs, 0)
        x = self.embedding(facts, mask=False)(inputs)
        tokens = ops.expand_dims(ops.cast(is_token, x.dtype), -1)
        if facts.buckets is None:
            places = place_encoding(facts.shape[0], self.width)[None]
            x = ops.add(x, ops.convert_to_tensor(places, dtype=x.dtype))
        else:  # of which there are as many as a batch has
            table = place_encoding(facts.buckets.longest, self.width)
            numbers = ops.cumsum(ops.ones_like(inputs, dtype="int32"), axis=1) - 1
            x = ops.add(x, ops.take(ops.convert_to_tensor(table, dtype=x.dtype), numbers, axis=0))
        # Masks of dropout are drawn for whole batches, so that replicas can share them.
        by_rows = self.encoder == "transformer" and not self.dropout
        if by_rows:
            x = leave_out_filling("rows_of_tokens")([x, tokens])
        for i in range(1, self.depth + 1):
            if self.encoder == "convolution":
                y = ops.multiply(layer_norm(f"conv_norm_{i}")(x), tokens)
                y = layers.Conv1D(
                    self.width,
                    self.kernel_size,
                    padding="causal" if self.causal else "same",
                    activation="gelu",
                    name=f"conv_{i}",
                )(y)
                x = layers.Add(name=f"conv_sum_{i}")([x, dropped(y, f"conv_dropout_{i}")])
                continue
            y = layer_norm(f"attention_norm_{i}")(x)
            attention = layers.MultiHeadAttention(
                self.heads, self.width // self.heads, name=f"attention_{i}"
            )
            join_projections(attention)
            y = attention(
                y, y, attention_mask=ops.expand_dims(is_token, 1), use_causal_mask=self.causal
            )
            x = layers.Add(name=f"attention_sum_{i}")([x, dropped(y, f"attention_dropout_{i}")])
            y = layer_norm(f"dense_norm_{i}")(x)
            y = layers.Dense(self.expansion * self.width, "gelu", name=f"dense_{i}_a")(y)
            y = layers.Dense(self.width, name=f"dense_{i}_b")(y)
            x = layers.Add(name=f"dense_sum_{i}")([x, dropped(y, f"dense_dropout_{i}")])
        x = layer_norm("norm")(x)
        x = put_in_filling("tokens_in_place")([x, tokens]) if by_rows else ops.multiply(x, tokens)
        if self.is_by_step(facts):
            # Operations carry no masks: steps of zeros get one again, which the loss goes by.
            x = layers.Masking(0.0, name="mask")(x)
        else:
            count = ops.maximum(ops.sum(tokens, axis=1), 1)  # an empty text is zeros
            x = ops.divide(ops.sum(x, axis=1), count)
        return keras.Model(inputs, layers.Dense(facts.outputs, name="logits")(x), name="model")


def place_encoding(steps: int, width: int) -> NDArray[np.float32]:
    """`sin(t w)` for half of the width and `cos(t w)` for the other, `[steps, width]`.

    `w` goes from 1 down to 1/10000, evenly in the logarithm.

    >>> place_encoding(2, 4).shape, place_encoding(2, 4)[0].tolist()
    ((2, 4), [0.0, 0.0, 1.0, 1.0])
    """
    w = 10000.0 ** -np.linspace(0, 1, width // 2)
    angles = np.outer(np.arange(steps), w)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
