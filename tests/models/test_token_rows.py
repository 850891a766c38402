"""Transformers over the rows of tokens alone, beside the same over all places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.helpers.networks import Trained
from trainer.models.shortcuts import shortcuts
from trainer.models.token_rows import TokenRows

IDS = np.random.default_rng(3).integers(1, 20, (19, 9)).astype(np.int32)  # two groups
IDS[
    np.arange(9) >= np.array([9, 4, 1, 0, 7, 2, 5, 5, 3, 8, 1, 6, 0, 2, 2, 4, 1, 3, 6])[:, None]
] = 0
IDS[4, 2] = 0  # filling in the middle
EMPTY_FIRST = IDS[[3, 0, 1]]
ALL_EMPTY = np.zeros((2, 9), np.int32)
TEXT = ("data=synthetic", "data.shape=[9]", "data.classes=3", "model=text", "model.tokens=20",
        "model.width=8", "model.heads=2", "model.depth=1")  # fmt: skip


def network(*asked: str) -> Any:
    """A transformer with weights of all signs."""
    model = Trained(*TEXT, *asked).network.model
    random = np.random.default_rng(2)
    model.set_weights([random.normal(size=w.shape, scale=0.5) for w in model.get_weights()])
    return model


def results(model: Any, ids: NDArray[np.int32], *, allowed: bool) -> list[NDArray[np.float32]]:
    """What a network gives, and the gradients of a sum of it."""
    weights = [weight.value for weight in model.trainable_weights]

    def worked_out(x: tf.Tensor) -> list[tf.Tensor]:
        with shortcuts(allowed=allowed):
            given = model(x, training=True)
        flat = tf.reshape(given, [-1])
        signs = tf.cos(tf.range(tf.size(flat), dtype=tf.float32))
        return [given, *tf.gradients(tf.reduce_sum(flat * signs), weights)]

    spec = [tf.TensorSpec(ids.shape, tf.int32)]
    found = tf.function(worked_out, input_signature=spec, autograph=False)(ids)
    return [np.asarray(tf.convert_to_tensor(x)) for x in found]


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("ids", "causal"),
    [
        pytest.param(IDS, False, id="some"),
        pytest.param(IDS, True, id="some, causal", marks=SLOW),
        pytest.param(np.tile(IDS, (2, 1)), True, id="four groups", marks=SLOW),
        pytest.param(EMPTY_FIRST, False, id="first empty", marks=SLOW),
        pytest.param(ALL_EMPTY, True, id="all empty, causal"),
    ],
)
def test_results_and_gradients_are_those_of_all_places(
    ids: NDArray[np.int32], causal: bool
) -> None:
    model = network(f"model.causal={causal}")
    found, expected = (results(model, ids, allowed=allowed) for allowed in (True, False))
    assert any(np.abs(x).max() > 0.01 for x in expected[1:])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_what_is_done_to_each_token_alone_is_done_to_tokens_alone() -> None:
    model = network()

    def given(x: tf.Tensor) -> tf.Tensor:
        with shortcuts(allowed=True):
            return model(x, training=True)

    traced = tf.function(given, [tf.TensorSpec(IDS.shape, tf.int32)], autograph=False)
    graph = traced.get_concrete_function().graph
    products = [op for op in graph.get_operations() if op.type == "MatMul"]
    # The joined projections, the output of attention, both dense layers, and the logits.
    assert [product.outputs[0].shape[0] for product in products] == [None] * 4 + [len(IDS)]


def test_a_network_with_dropout_has_a_row_for_each_place() -> None:
    names = [layer.name for layer in network("model.dropout=0.1").layers]
    assert not {"rows_of_tokens", "tokens_in_place"} & set(names)


def test_rows_of_tokens_come_back_to_their_places() -> None:
    x = tf.reshape(tf.range(12.0), [6, 2])
    is_token = tf.constant([[0, 1, 1], [0, 0, 1]])
    tokens = TokenRows.of(is_token)
    assert tokens.places.numpy().tolist() == [0, 1, 2, 5]
    back = tokens.spread(tokens.taken(x)).numpy()
    np.testing.assert_array_equal(back[[0, 1, 2, 5]], x.numpy()[[0, 1, 2, 5]])
