"""Tables that are looked up: a row whose id stands twice in a batch is updated once, by the sum."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.kinds import built
from trainer import Experiment, train
from trainer.engine.gradients import summed
from trainer.optimizers import Optimizer
from trainer.scheduled.dials import Dials

RANDOM = np.random.default_rng(5)
ROWS, WIDTH, UPDATES = 7, 3, 4
TABLE = RANDOM.normal(size=(ROWS, WIDTH)).astype(np.float32)
IDS = RANDOM.integers(0, ROWS - 2, size=(UPDATES, 12))  # the last rows are never looked up
SLICES = RANDOM.normal(size=(UPDATES, 12, WIDTH)).astype(np.float32)
CLIPS = {"none": {}, "clipnorm": {"clipnorm": 0.5}, "clipvalue": {"clipvalue": 0.2},
         "global_clipnorm": {"global_clipnorm": 0.5}}  # fmt: skip


def updated(kind: str, settings: dict[str, float], *, dense: bool) -> np.ndarray:
    """The table after some updates by its gradients, as slices or whole."""
    required = {"momentum": 0.9} if kind in {"momentum", "nesterov"} else {}
    dials = Dials(["learning_rate"])
    optimizer = Optimizer.declared({"kind": kind, **required, **settings}).build(dials)
    table = keras.Variable(TABLE, name="table")
    optimizer.build([table])

    @tf.function(autograph=False)
    def update(ids: tf.Tensor, rows: tf.Tensor) -> None:
        slices = tf.IndexedSlices(rows, ids, tf.constant(TABLE.shape))
        with dials.showing(tf.constant([0.05])):
            optimizer.apply([summed(slices, table, dense=dense)], [table])

    for ids, rows in zip(IDS, SLICES, strict=True):
        update(tf.constant(ids), tf.constant(rows))
    return np.asarray(table)


@pytest.mark.parametrize("kind", built())
def test_every_rule_gives_what_it_gives_for_the_whole_gradient(kind: str) -> None:
    np.testing.assert_allclose(
        updated(kind, {}, dense=False), updated(kind, {}, dense=True), rtol=2e-5, atol=2e-6
    )


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_every_clip_clips_the_whole_gradient(kind: str, clip: str) -> None:
    np.testing.assert_allclose(
        updated(kind, CLIPS[clip], dense=False),
        updated(kind, CLIPS[clip], dense=True),
        rtol=2e-5,
        atol=2e-6,
    )


def test_each_id_stands_once_with_its_rows_summed() -> None:
    rows, ids = tf.constant([[1.0], [2.0], [4.0]]), tf.constant([3, 0, 3])
    table = keras.Variable(tf.zeros([5, 1]))
    slices = summed(tf.IndexedSlices(rows, ids, tf.constant([5, 1])), table, dense=False)
    assert isinstance(slices, tf.IndexedSlices)
    assert slices.indices.numpy().tolist() == [3, 0]
    assert slices.values.numpy().tolist() == [[5.0], [2.0]]


@pytest.mark.parametrize("vocabulary", [1, 9, 400, 8 * 300 + 1])
def test_rows_of_equal_ids_are_added_in_the_order_of_the_batch(vocabulary: int) -> None:
    """As NumPy adds them one after another, bit for bit, however many of them are equal."""
    rows = RANDOM.normal(size=(300, WIDTH)).astype(np.float32)
    ids = RANDOM.integers(0, vocabulary, size=300) // RANDOM.integers(1, 9, size=300)
    expected = np.zeros((vocabulary, WIDTH), np.float32)
    np.add.at(expected, ids, rows)
    table = keras.Variable(tf.zeros([vocabulary, WIDTH]))
    gradient = tf.IndexedSlices(tf.constant(rows), tf.constant(ids), tf.constant(table.shape))
    slices = summed(gradient, table, dense=False)
    assert isinstance(slices, tf.IndexedSlices)
    assert sorted(slices.indices.numpy().tolist()) == np.unique(ids).tolist()
    np.testing.assert_array_equal(slices.values.numpy(), expected[slices.indices.numpy()])


@pytest.mark.parametrize("compiled", ["graph", "xla"])
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_sixty_four_equal_ids_move_a_row_by_one_step_of_adam(
    compiled: str, micro_batches: int, tmp_path: Path
) -> None:
    """Adam's first step is the learning rate, whatever the gradient: torch 2 says 0.0010 too."""
    inputs, labels = np.zeros((64, 1), np.int32), np.full((64, 1), 1.5, np.float32)
    table = keras.layers.Embedding(1, 1, embeddings_initializer="zeros")
    model = keras.Sequential([keras.Input((1,), dtype="int32"), table, keras.layers.Flatten()])
    asked = ("run.length=1", "optimizer=adam", "schedule=constant", "schedule.value=0.001",
             f"run.compile={compiled}", f"run.micro_batches={micro_batches}", "~log.tensorboard",
             "data.batch_size=64", "loss=mean_squared_error")  # fmt: skip
    pair = (inputs, labels)
    train(Experiment.composed(*asked), tmp_path, model=model, data=(pair, pair), quiet=True)
    [[moved]] = np.asarray(table.embeddings)
    assert moved == pytest.approx(0.001, rel=1e-4)
