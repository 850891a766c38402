"""Random numbers of a user's own code: the same after a stop, others in every update."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import Experiment, train
from trainer.commands.predict import predict
from trainer.commands.restored import Restored, declared
from trainer.runs.folder import Folder

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(80, 4)).astype(np.float32)
Y = X[:, :1] * 2
SHORT = ("run.length=6", "log.every=1", "data.batch_size=16", "schedule.initial_value=0.01")
OUTSIDE = keras.random.SeedGenerator(7)
STATEFUL = tf.random.Generator.from_seed(3)


@tf.function
def decorated(like: tf.Tensor) -> tf.Tensor:
    return like * 0 + tf.random.normal(tf.shape(like))


def in_a_loop(like: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda _: tf.random.normal([3]), tf.zeros([4]))


KINDS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "normal": lambda x: tf.random.normal(tf.shape(x)),
    "uniform": lambda x: tf.random.uniform([5]),
    "integers": lambda x: tf.random.uniform([9], 0, 1000, tf.int32),
    "seeded": lambda x: tf.random.normal([5], seed=4),
    "truncated": lambda x: tf.random.truncated_normal([5]),
    "shuffled": lambda x: tf.random.shuffle(tf.range(64.0)) * tf.range(64.0),
    "image": lambda x: tf.image.random_brightness(tf.ones([2, 4, 4, 3]), 0.5),
    "dropped": lambda x: tf.nn.dropout(tf.sqrt(tf.range(64.0)), 0.5),
    "keras_normal": lambda x: keras.random.normal([5]),
    "keras_uniform": lambda x: keras.random.uniform([5]),
    "keras_dropout": lambda x: keras.random.dropout(tf.sqrt(tf.range(64.0)), 0.5),
    "keras_shuffle": lambda x: keras.random.shuffle(tf.range(64.0)) * tf.range(64.0),
    "keras_generator": lambda x: keras.random.normal([5], seed=OUTSIDE),
    "generator": lambda x: STATEFUL.normal([5]),
    "loop": in_a_loop,
    "function": decorated,
    "branch": lambda x: tf.cond(
        tf.reduce_sum(x) > 1e9, lambda: tf.zeros([5]), lambda: tf.random.normal([5])
    ),
}
GRAPH_ONLY: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "categorical": lambda x: tf.random.categorical(tf.zeros([1, 1000]), 5),
    "gamma": lambda x: tf.random.gamma([5], [1.0, 2.0]),
    "poisson": lambda x: tf.random.poisson([5], [1e4]),
}


def mean(kind: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(kind(x), tf.float32))


def drawing_step(kinds: dict[str, Any]) -> Callable[..., Any]:
    def step(model: keras.Model, batch: Any) -> Any:
        x, y = batch
        drawn = {f"{name}_": mean(kind, x) for name, kind in kinds.items()}
        noise = tf.add_n([tf.clip_by_value(value, -1.0, 1.0) for value in drawn.values()])
        return tf.reduce_mean(tf.square(model(x + noise, training=True) - y)), drawn

    return step


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


def run(folder: Path, *asked: str, loss: Any = None, model: Any = None) -> Any:
    experiment = Experiment.composed(*SHORT, *asked)
    model = model or network()
    outcome = train(experiment, folder, model=model, data=(X, Y), loss=loss, quiet=True)
    assert outcome.status in ("done", "stopped"), outcome.reason
    return outcome


@pytest.mark.parametrize(
    ("compiled", "parts"), [("graph", 1), pytest.param("xla", 2, marks=pytest.mark.slow)]
)
def test_every_way_to_draw_goes_on_with_the_same_numbers_and_draws_others_in_each_update(
    compiled: str, parts: int, tmp_path: Path
) -> None:
    kinds = KINDS | GRAPH_ONLY if compiled == "graph" else KINDS
    step, asked = drawing_step(kinds), (f"run.compile={compiled}", f"run.micro_batches={parts}")
    whole = run(tmp_path / "whole", *asked, loss=step)
    run(tmp_path / "parts", *asked, "run.stop_after=3", loss=step)
    tf.random.normal([]), keras.random.normal([]), OUTSIDE.next(), STATEFUL.normal([])
    again = run(tmp_path / "parts", *asked, loss=step)
    assert again.result["weights_digest"] == whole.result["weights_digest"]
    for name in kinds:
        drawn = whole.history[f"{name}_"]
        assert len(set(drawn.tolist())) == 6, name
        np.testing.assert_array_equal(drawn, again.history[f"{name}_"], name)
    assert "not exact" not in (tmp_path / "whole" / "events.jsonl").read_text()


def test_another_seed_draws_other_numbers(tmp_path: Path) -> None:
    step = drawing_step({"normal": KINDS["normal"], "loop": in_a_loop})
    one, other = (
        run(tmp_path / str(seed), f"run.seed={seed}", "run.compile=graph", loss=step).history
        for seed in (1, 2)
    )
    for name in ("normal_", "loop_"):
        assert not set(one[name].tolist()) & set(other[name].tolist())


def test_each_turn_of_a_loop_draws_its_own(tmp_path: Path) -> None:
    def step(model: keras.Model, batch: Any) -> Any:
        x, y = batch
        apart = tf.reduce_min(tf.math.reduce_std(in_a_loop(x), axis=0))
        return tf.reduce_mean(tf.square(model(x) - y)), {"apart": apart}

    assert (run(tmp_path, "run.compile=graph", loss=step).history["apart"] > 0).all()


class Noisy(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    """Adds noise always, by one of the ways there are."""

    def __init__(self, drawn: Callable[[Any], Any], **settings: Any) -> None:
        super().__init__(**settings)
        self._drawn = drawn
        self.seed_generator = keras.random.SeedGenerator(2)

    def call(self, x: Any) -> Any:
        return x + self._drawn(self, tf.shape(x))


@pytest.mark.parametrize(
    "drawn",
    [
        lambda layer, shape: tf.random.normal(shape),
        lambda layer, shape: keras.random.normal(shape),
        lambda layer, shape: keras.random.normal(shape, seed=layer.seed_generator),
    ],
    ids=["tensorflow", "keras", "generator"],
)
def test_evaluations_draw_for_themselves_and_predictions_as_the_last_of_them(
    drawn: Callable[[Any, Any], Any], tmp_path: Path
) -> None:
    def noisy() -> keras.Model:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,))
        hidden = keras.layers.BatchNormalization()(Noisy(drawn)(inputs))
        return keras.Model(inputs, keras.layers.Dense(1)(hidden))

    seldom, often = (
        run(tmp_path / str(every), f"evaluate.every={every}", "run.compile=graph", model=noisy())
        for every in (6, 2)
    )
    assert seldom.result["weights_digest"] == often.result["weights_digest"]
    assert seldom.metrics == often.metrics
    losses = often.evaluations["eval_loss"]
    assert len(set(losses.tolist())) == 3


def test_predict_gives_the_very_numbers_of_the_last_evaluation_of_a_network_that_draws(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    asked = ("data=digits", "model=python", "model.call=tests.helpers.functions:noisy_network")
    code = "allow_code=[tests]"
    outcome = train(
        Experiment.composed(*asked, code, "run.length=4", "run.compile=graph"), folder, quiet=True
    )
    experiment = declared(folder, [code], ())
    restored = Restored.of(experiment, Folder(folder), None)
    assert predict(restored, experiment).metrics == outcome.metrics


def test_what_no_checkpoint_has_is_told_at_the_start(tmp_path: Path) -> None:
    counter = tf.Variable(0.0, name="my_counter")

    class Raw(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, x: Any) -> Any:
            shape = tf.shape(x)
            return x + tf.raw_ops.RandomStandardNormal(shape=shape, dtype=tf.float32, seed=1)

    def step(model: keras.Model, batch: Any) -> Any:
        x, y = batch
        counter.assign_add(1.0)
        host = tf.ensure_shape(tf.numpy_function(lambda: np.float32(1.0), [], tf.float32), [])
        return host * tf.reduce_mean(tf.square(model(x) - y))

    model = keras.Sequential([keras.Input((4,)), Raw(name="raw"), keras.layers.Dense(1)])
    run(tmp_path, "run.compile=graph", loss=step, model=model)
    [event] = [
        line for line in (tmp_path / "events.jsonl").read_text().splitlines() if "not exact" in line
    ]
    assert re.search(r"raw\w*/RandomStandardNormal draws by RandomStandardNormal", event)
    assert "calls Python" in event
    assert "my_counter" in event
