"""Networks and steps that take batches of one size alone, in updates and in evaluations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from trainer import Experiment, train

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(60, 8)).astype(np.float32)
Y = RANDOM.normal(size=(60, 1)).astype(np.float32)
TESTS = (X[:23], Y[:23])
SHORT = ("run.length=3", "data.batch_size=10", "run.compile=graph", "schedule.initial_value=0.01")


class Folded(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    """What keras.io's Switch Transformer does: one row for each token of the batch."""

    def call(self, x: Any) -> Any:
        return tf.reshape(tf.reshape(x, [10 * 4, 2]) * 2.0, [10, 8])


class Whole(keras.Model):  # type: ignore[misc]  # Keras is untyped
    def __init__(self) -> None:
        super().__init__()
        self.folded, self.end = Folded(), keras.layers.Dense(1, name="end")

    def call(self, x: Any) -> Any:
        return self.end(self.folded(x))


def declared_batch() -> keras.Model:
    return keras.Sequential([keras.Input(batch_shape=(10, 8)), keras.layers.Dense(1)])


def folding() -> keras.Model:
    return keras.Sequential([keras.Input((8,)), Folded(), keras.layers.Dense(1)])


def subclassed() -> keras.Model:
    model = Whole()
    model(tf.zeros([10, 8]))
    return model


def run(folder: Path, model: keras.Model, *asked: str, loss: Any = None) -> Any:
    experiment = Experiment.composed(*SHORT, *asked)
    return train(experiment, folder, model=model, data=((X, Y), TESTS), loss=loss, quiet=True)


@pytest.mark.parametrize("network", [declared_batch, folding, subclassed])
def test_a_network_for_one_batch_size_is_evaluated_exactly(
    network: Callable[[], keras.Model], tmp_path: Path
) -> None:
    model = network()
    outcome = run(tmp_path, model)
    assert outcome.status == "done", outcome.reason
    folded = X[:23] * (1 if network is declared_batch else 2)
    kernel, bias = model.get_weights()
    off = folded @ kernel + bias - TESTS[1]
    assert outcome.metrics["eval_loss"] == pytest.approx(np.mean(off**2), rel=1e-5)
    mae = outcome.metrics["eval_mean_absolute_error"]
    assert mae == pytest.approx(np.mean(np.abs(off)), rel=1e-5)


def test_another_batch_size_than_the_network_takes_is_refused_with_the_right_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(Refused, match=r"takes batches of 10.*\n.*data\.batch_size=20") as caught:
        run(tmp_path, declared_batch(), "data.batch_size=40", "run.micro_batches=2")
    assert caught.value.problems[0].path == "model"
    right = ("data.batch_size=20", "run.micro_batches=2")
    assert run(tmp_path, declared_batch(), *right).status == "done"


def test_a_step_sees_batches_of_one_size_and_its_mean_is_that_of_the_real_examples(
    tmp_path: Path,
) -> None:
    seen = set()

    def step(model: keras.Model, batch: Any) -> Any:
        x, y = batch
        seen.add(x.shape[0])
        tf.range(10) + tf.zeros([x.shape[0]], tf.int32)
        return tf.reduce_mean(tf.square(model(x) - y), axis=-1)

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    outcome = run(tmp_path, model, loss=step)
    kernel, bias = model.get_weights()
    expected = np.mean((X[:23] @ kernel + bias - TESTS[1]) ** 2)
    assert seen == {10}
    assert outcome.metrics["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_what_a_network_raises_in_an_evaluation_is_refused_in_words(tmp_path: Path) -> None:
    class Picky(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, x: Any, training: bool = False) -> Any:
            if not training and x.shape[0] == 23:
                raise ValueError("no twenty-three")
            return x

    model = keras.Sequential([keras.Input((8,)), Picky(), keras.layers.Dense(1)])
    with pytest.raises(Refused, match=r"can't be evaluated: ValueError: .*") as caught:
        run(tmp_path, model)
    assert "[23, 8]" in str(caught.value)


def test_what_an_operation_raises_in_an_evaluation_fails_the_run_in_words(tmp_path: Path) -> None:
    def step(model: keras.Model, batch: Any, training: bool) -> Any:
        x, y = batch
        outputs = model(x)
        if not training:
            outputs = tf.debugging.check_numerics(outputs / 0.0, "not a number")
        return tf.reduce_mean(tf.square(outputs - y))

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    outcome = run(tmp_path, model, loss=step)
    assert outcome.status == "failed"
    assert "can't be evaluated" in outcome.reason
