"""The tokens of a batch of texts as rows of a matrix, without what fills up the shorter texts.

What a transformer does to each token alone (normalizations, dense layers, sums) is done to the rows
of tokens in one matrix `[tokens, width]`; only attention sets them beside each other again. The
results are the same but for how the sums of gradients are rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..scheduled.keras_internals import replace_call
from .shortcuts import shortcuts_allowed

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def leave_out_filling(name: str) -> keras.layers.Layer:
    """A layer `[x, is_token] -> x * is_token`, which as `shortcuts` says gives the rows of tokens.

    `x` is `[batch, time, width]`, and `is_token` 1 or 0, `[batch, time, 1]`.
    """
    return _multiply(name, _rows_of_tokens)


def put_in_filling(name: str) -> keras.layers.Layer:
    """A layer `[x, is_token] -> x * is_token`, which may get for `x` the rows of tokens."""
    return _multiply(name, _with_filling)


class TokenRows(NamedTuple):
    """Where the rows of tokens are among all places of a batch."""

    places: tf.Tensor
    """The place of each row, `[tokens]`. The first place of all has a row, token or not: a batch of
    empty texts has one."""
    rows: tf.Tensor
    """Which row stands at each place, `[batch * time]`; where there is filling, any."""
    has_row: tf.Tensor
    """1 where a place has a row of its own and else 0, `[batch * time, 1]`."""

    @classmethod
    def of(cls, is_token: tf.Tensor) -> Self:
        """Those of a mask of any shape, whose entries are not 0 for tokens."""
        import tensorflow as tf

        flat = tf.cast(tf.reshape(is_token, [-1]), tf.bool)
        has_row = flat | (tf.range(tf.size(flat)) == 0)
        places = tf.cast(tf.where(has_row)[:, 0], tf.int32)
        rows = tf.cumsum(tf.cast(has_row, tf.int32)) - 1
        return cls(places, rows, tf.cast(has_row, tf.float32)[:, None])

    def taken(self, x: tf.Tensor) -> tf.Tensor:
        """The rows of tokens from those of all places: `[batch * time, n]` to `[tokens, n]`."""
        import tensorflow as tf

        @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is
        def gathered(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            return tf.gather(x, self.places), lambda by: tf.gather(by, self.rows) * self.has_row

        return gathered(x)

    def spread(self, x: tf.Tensor) -> tf.Tensor:
        """A row for each place, `[tokens, n]` to `[batch * time, n]`, some token's for filling.

        Nothing may go by what stands in the place of filling: its gradient is taken to be 0.
        """
        import tensorflow as tf

        @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is
        def gathered(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            return tf.gather(x, self.rows), lambda by: tf.gather(by, self.places)

        return gathered(x)


def are_rows(x: tf.Tensor) -> bool:
    """Whether a layer of sequences got the rows of tokens."""
    return len(x.shape) == 2


def _multiply(name: str, call: Callable[[Any, list[tf.Tensor]], tf.Tensor]) -> keras.layers.Layer:
    """Keras' layer, which computes by a function of it and its inputs."""
    import keras

    layer = keras.layers.Multiply(name=name)
    replace_call(layer, partial(call, layer))
    return layer


def _rows_of_tokens(layer: Any, inputs: list[tf.Tensor]) -> tf.Tensor:
    import tensorflow as tf

    x, is_token = inputs
    if not (shortcuts_allowed() and x.dtype == tf.float32 == layer.compute_dtype):
        return type(layer).call(layer, inputs)
    return TokenRows.of(is_token).taken(tf.reshape(x, [-1, x.shape[-1]]))


def _with_filling(layer: Any, inputs: list[tf.Tensor]) -> tf.Tensor:
    import tensorflow as tf

    x, is_token = inputs
    if not are_rows(x):
        return type(layer).call(layer, inputs)
    everywhere = TokenRows.of(is_token).spread(x)
    shape = tf.concat([tf.shape(is_token)[:2], x.shape[-1:]], 0)
    filled = tf.reshape(everywhere, shape) * is_token
    filled.set_shape([*is_token.shape[:2], x.shape[-1]])
    return filled
