"""Texts in groups of like lengths."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from trainer.models.texts_by_length import GROUPS, SMALLEST, TextsByLength
from trainer.models.token_rows import TokenRows

LENGTHS = np.random.default_rng(4).integers(0, 30, GROUPS * SMALLEST + 3)
IS_TOKEN = np.arange(30) < LENGTHS[:, None]


def test_a_group_is_as_wide_as_its_longest_text_and_no_wider() -> None:
    groups = TextsByLength.of(tf.constant(IS_TOKEN)).groups
    lengths = np.sort(LENGTHS)[::-1]
    counts = [group.is_token.shape[0] for group in groups]
    assert len(counts) == GROUPS
    assert max(counts) - min(counts) <= 1
    longest = [int(each[0]) for each in np.split(lengths, np.cumsum(counts)[:-1])]
    assert [group.is_token.shape[1] for group in groups] == longest
    held = np.concatenate([np.sum(group.is_token, 1) for group in groups])
    assert held.tolist() == lengths.tolist()


def test_rows_of_tokens_come_back_from_groups_in_their_order() -> None:
    count = TokenRows.of(tf.constant(IS_TOKEN)).places.shape[0]
    x = tf.random.stateless_normal([count, 3], seed=(0, 1))
    texts = TextsByLength.of(tf.constant(IS_TOKEN))
    with tf.GradientTape() as tape:
        tape.watch(x)
        back = texts.taken([2 * part for part in texts.spread(x)])
    np.testing.assert_array_equal(back, 2 * x)
    np.testing.assert_array_equal(tape.gradient(back, x), 2 * np.ones_like(x))


def test_few_texts_or_an_unknown_number_are_one_group() -> None:
    assert len(TextsByLength.of(tf.constant(IS_TOKEN[: 2 * SMALLEST - 1])).groups) == 1

    @tf.function(input_signature=[tf.TensorSpec([None, 30], tf.bool)], autograph=False)
    def counted(is_token: tf.Tensor) -> tf.Tensor:
        return tf.constant(len(TextsByLength.of(is_token).groups))

    assert counted(IS_TOKEN) == 1
