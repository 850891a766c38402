"""Products of matrices, differentiated in the order that suits XLA's processors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

from ..scheduled.tensorflow_internals import optimization_barrier

TURNED = "TurnedProduct"
"""What TensorFlow knows the gradient by."""
NARROW = range(2, 17)
"""How many outputs a layer has whose gradient is turned."""


@contextmanager
def products(*, turned: bool) -> Iterator[None]:
    """Within the block products may be `turned`, where `tf.gradients` differentiates them.

    The gradient by a layer's weights is `inputsᵀ · outputs'`. XLA's own products for processors
    want the left side row after row, which `inputsᵀ` is not, so that it asks Eigen. Of a narrow
    layer it is better asked for `(outputs'ᵀ · inputs)ᵀ`, where what has to be turned is small: for
    64 examples and 10 outputs that takes a half of the time with 64 inputs, a third with 128, an
    eighth with 512. With a wide one, turning the result costs more than it saves. (A
    `GradientTape` asks for TensorFlow's gradient whatever stands here.)
    """
    names = {"MatMul": TURNED} if turned else {}
    with tf.compat.v1.get_default_graph().gradient_override_map(names):
        yield


@tf.RegisterGradient(TURNED)  # type: ignore[untyped-decorator]  # TensorFlow is
def _gradient(product: tf.Operation, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    left, right = map(tf.math.conj, product.inputs)
    turn_left, turn_right = (product.get_attr(f"transpose_{side}") for side in "ab")
    by_left = tf.matmul(outputs, right, transpose_b=not turn_right)
    if outputs.dtype == tf.float32 and outputs.shape[-1] in NARROW and not turn_left:
        by_right = _from_the_left(left, outputs)
    else:
        by_right = tf.matmul(left, outputs, transpose_a=not turn_left)
    return (
        tf.transpose(by_left) if turn_left else by_left,
        tf.transpose(by_right) if turn_right else by_right,
    )


# A barrier has no gradient, and somebody may want a second derivative.
@tf.custom_gradient  # type: ignore[untyped-decorator]
def _from_the_left(
    left: tf.Tensor, right: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """`leftᵀ · right`, by the product of `rightᵀ` and `left`."""

    def gradient(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.matmul(right, outputs, transpose_b=True), tf.matmul(left, outputs)

    turned = tf.matmul(_as_it_stands(tf.transpose(right)), left)
    return tf.transpose(_as_it_stands(turned)), gradient


def _as_it_stands(x: tf.Tensor) -> tf.Tensor:
    """Keeps XLA from turning a product round again to save the transposition."""
    return optimization_barrier(x)
