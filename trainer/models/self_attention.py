"""Attention of a sequence to itself, whose three projections are one product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..scheduled.keras_internals import replace_call
from .shortcuts import shortcuts_allowed
from .texts_by_length import TextsByLength
from .token_rows import are_rows

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

HIDDEN = -1e38
"""What is added to the scores of hidden steps: as good as minus infinity, and no NaN where all are
hidden."""


def join_projections(layer: keras.layers.MultiHeadAttention) -> None:
    """Lets a layer without dropout make queries, keys and values at once, as `shortcuts` says.

    Keras makes each by a product of its own, and turns it. The results are the same but for how the
    sums of gradients are rounded.
    """
    replace_call(layer, partial(_call, layer))


def _call(
    layer: Any,
    query: tf.Tensor,
    value: tf.Tensor,
    attention_mask: tf.Tensor | None = None,
    use_causal_mask: bool = False,
    training: bool = False,
    **others: Any,
) -> tf.Tensor:
    """What the layer's own `call` gives."""
    import tensorflow as tf

    plain = query is value and query.dtype == tf.float32 == layer.compute_dtype
    texts = None
    if are_rows(query) and attention_mask is not None:
        texts = TextsByLength.of(attention_mask[:, 0])
    short = shortcuts_allowed() and training and plain and not any(others.values())
    if not (short or texts):
        given = {"attention_mask": attention_mask, "use_causal_mask": use_causal_mask}
        return type(layer).call(layer, query, value, **given, training=training, **others)
    width, heads, size = query.shape[-1], layer.num_heads, layer.key_dim
    projections = (layer.query_dense, layer.key_dense, layer.value_dense)
    kernel = tf.concat([tf.reshape(p.kernel, [width, heads * size]) for p in projections], 1)
    bias = tf.concat([tf.reshape(p.bias, [heads * size]) for p in projections], 0)
    joined = tf.matmul(tf.reshape(query, [-1, width]), kernel) + bias
    if texts:
        attended_rows = _traced_once(heads, size, use_causal_mask)
        parts = [
            attended_rows(part, tf.shape(group.is_token)[1], group.is_token[:, None])
            for part, group in zip(texts.spread(joined), texts.groups, strict=True)
        ]
        attended = texts.taken(parts)
    else:
        time = tf.shape(query)[1] if query.shape[1] is None else query.shape[1]
        attended = _attended_rows(heads, use_causal_mask, joined, time, attention_mask)
    output = layer.output_dense
    result = tf.matmul(attended, tf.reshape(output.kernel, [heads * size, width])) + output.bias
    return result if texts else tf.reshape(result, [-1, time, width])


@cache
def _traced_once(heads: int, size: int, is_causal: bool) -> Callable[..., tf.Tensor]:
    """`_attended_rows` as one graph for all groups and layers: a start has to wait for traces."""
    import tensorflow as tf

    signature = [
        tf.TensorSpec([None, 3 * heads * size]),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([None, 1, None], tf.bool),
    ]
    attended_rows = partial(_attended_rows, heads, is_causal)
    traced: Callable[..., tf.Tensor] = tf.function(attended_rows, signature, autograph=False)
    return traced


def _attended_rows(
    heads: int,
    is_causal: bool,
    joined: tf.Tensor,
    time: tf.Tensor | int,
    attention_mask: tf.Tensor | None,
) -> tf.Tensor:
    """What all heads give at each step, from its queries, keys and values side by side.

    `[batch * time, heads * n]`, from `[batch * time, 3 * heads * n]`.
    """
    import tensorflow as tf

    size = joined.shape[-1] // (3 * heads)
    by_head = tf.transpose(tf.reshape(joined, [-1, time, 3, heads, size]), [2, 0, 3, 1, 4])
    queries, keys, values = tf.unstack(by_head)
    hidden = []
    if attention_mask is not None:
        hidden.append(tf.where(attention_mask, 0.0, HIDDEN)[:, None])
    if is_causal:
        sees = tf.linalg.band_part(tf.ones([time, time], tf.bool), -1, 0)
        hidden.append(tf.where(sees, 0.0, HIDDEN))
    means = _attended(queries * (1 / size**0.5), keys, values, hidden)
    return tf.reshape(tf.transpose(means, [0, 2, 1, 3]), [-1, heads * size])


def _attended(
    queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, hidden: Sequence[tf.Tensor]
) -> tf.Tensor:
    """The mean of values by the softmax of products of queries and keys, `[batch, heads, time, n]`.

    The gradient by scores is `p (d - sum(d p))`, where `p` are the shares and `d` the gradient by
    them; the sum is that of the result and its own gradient, which are smaller.
    """
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is
    def computed(
        queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        scores = tf.matmul(queries, keys, transpose_b=True)
        for added in hidden:
            scores += added
        shares = tf.nn.softmax(scores)
        means = tf.matmul(shares, values)

        def gradient(by: tf.Tensor) -> list[tf.Tensor]:
            by_shares = tf.matmul(by, values, transpose_b=True)
            by_scores = shares * (by_shares - tf.reduce_sum(by * means, -1, keepdims=True))
            return [
                tf.matmul(by_scores, keys),
                tf.matmul(by_scores, queries, transpose_a=True),
                tf.matmul(shares, by, transpose_a=True),
            ]

        return means, gradient

    return computed(queries, keys, values)
