"""What trains the Keras model of a job without this package: `fit`, and the best loop by hand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np
from paces import LONGEST, Made, Run, adapting
from peer_jobs import HORIZON, MOMENTUM, RATE, Job


class FitEnded(Exception):  # noqa: N818  # no error
    """Ends a `fit` in the middle of an epoch."""


def hand_written(given: Job, *, xla: bool, threads: int = 0) -> Run:
    """The best `tf.function` for the same Keras model and optimizer: many updates a call."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = keras_model(given)
    optimizer = _keras_rule(given)
    optimizer.build(model.trainable_variables)
    train = given.data.train
    inputs, labels = tf.constant(train.inputs), tf.constant(train.labels)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(jit_compile=xla)
    def updates(chosen: Any, count: Any) -> Any:
        def update(i: Any, losses: Any) -> Any:
            x, y = tf.gather(inputs, chosen[i]), tf.gather(labels, chosen[i])
            with tf.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
            weights = model.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
            return i + 1, losses.write(i, loss)

        losses = tf.TensorArray(tf.float32, LONGEST, element_shape=())
        _, losses = tf.while_loop(lambda i, _: i < count, update, (0, losses))
        return losses.stack()

    def call(step: int, count: int) -> None:
        chosen = given.stream.indices(step, count)
        padded = tf.pad(chosen, [[0, LONGEST - count], [0, 0]])
        updates(padded, tf.constant(count)).numpy()

    return adapting(call)


def keras_fit(given: Job, *, at_once: int, piped: bool = False) -> Run:
    """`model.fit` on arrays, or on a cached, shuffled, prefetched `tf.data`; compiled as it likes.

    An epoch of the arrays is as many copies of them as 500 updates need, since each costs extra.
    """
    import keras
    import tensorflow as tf

    model = keras_model(given)
    classes = given.declared.data.facts().classes
    model.compile(
        _keras_rule(given),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mse",
        steps_per_execution=at_once,
    )
    train, batch = given.data.train, given.stream.batch_size
    each = 500
    if piped:
        data = tf.data.Dataset.from_tensor_slices((train.inputs, train.labels)).cache()
        data = data.shuffle(len(train)).repeat().batch(batch, drop_remainder=True)
        fed = {"x": data.prefetch(tf.data.AUTOTUNE), "steps_per_epoch": each}
    else:
        chosen = np.resize(np.arange(len(train)), each * batch)
        fed = {"x": train.inputs[chosen], "y": train.labels[chosen], "batch_size": batch}

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
        """Times what comes after the first updates, in which `fit` sets itself up."""

        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds, self.updates, self.took = seconds, 0, 0.0
            self.first, self.before, self.began = 0, 0, 0.0

        def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
            done = self.before + batch + 1
            if not self.began:
                self.first, self.began = done, perf_counter()
                return
            self.updates, self.took = done - self.first, perf_counter() - self.began
            if self.took > self.seconds:
                raise FitEnded  # `stop_training` is heard at the end of an epoch only

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            self.before += each

    def run(seconds: float) -> Made:
        clock = Clock(seconds)
        with suppress(FitEnded):
            model.fit(**fed, epochs=10**6, verbose=0, callbacks=[clock])
        return clock.updates, clock.took

    run(0.5)
    return run


def keras_model(given: Job) -> Any:
    """The network of a job, as its declaration builds it."""
    import keras

    from trainer.scheduled.dials import Dials

    keras.utils.set_random_seed(1)
    facts = given.declared.data.facts()
    return given.declared.model.build(facts, Dials([]))


def _keras_rule(given: Job) -> Any:
    import keras

    kind = given.declared.optimizer.kind
    settings = {"momentum": MOMENTUM} if kind == "momentum" else {}
    name = {"momentum": "SGD", "sgd": "SGD", "adagrad": "Adagrad", "adam": "Adam"}[kind]
    rate = keras.optimizers.schedules.CosineDecay(RATE, HORIZON)
    return getattr(keras.optimizers, name)(rate, **settings)
