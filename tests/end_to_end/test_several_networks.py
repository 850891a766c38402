"""A step that returns a loss for each group of weights: several networks in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from trainer import Experiment, train

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(80, 2)).astype(np.float32)
SHORT = (
    *("run.length=6", "log.every=1", "data.batch_size=16", "run.compile=graph"),
    *("schedule=constant", "schedule.value=0.01"),
)
GROUPS = {"generator": {"paths": ["generator/*"]}, "discriminator": {"paths": ["discriminator/*"]}}


def gan() -> keras.Model:
    keras.utils.set_random_seed(1)
    noise = keras.Input((2,))
    make = [keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    tell = [keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
    generator = keras.Sequential(make, name="generator")
    discriminator = keras.Sequential(tell, name="discriminator")
    model = keras.Model(noise, discriminator(generator(noise)))
    model.generator, model.discriminator = generator, discriminator
    return model


def cross_entropy(logits: tf.Tensor, label: float) -> tf.Tensor:
    labels = tf.fill(tf.shape(logits), label)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def losses(model: keras.Model, points: tf.Tensor, noise: tf.Tensor) -> dict[str, tf.Tensor]:
    made = model.generator(noise, training=True)
    real, fake = (model.discriminator(x, training=True) for x in (points, made))
    return {
        "generator": cross_entropy(fake, 1.0),
        "discriminator": cross_entropy(real, 1.0) + cross_entropy(fake, 0.0),
    }


def step(model: keras.Model, batch: Any) -> Any:
    return losses(model, batch[0], tf.random.normal(tf.shape(batch[0])))


def fixed_step(model: keras.Model, batch: Any) -> Any:
    return losses(model, batch[0], batch[0][:, ::-1])


def run(folder: Path, *asked: Any, loss: Any = step, groups: Any = GROUPS) -> Any:
    experiment = Experiment.composed(
        *SHORT, {"optimizer": "adam", "optimizer.groups": groups}, *asked
    )
    outcome = train(experiment, folder, model=gan(), data=X, loss=loss, quiet=True)
    assert outcome.status in ("done", "stopped"), outcome.reason
    return outcome


@pytest.mark.parametrize("limit", [None, 0.05])
def test_each_network_follows_its_own_loss_as_two_tapes_and_two_optimizers_do(
    limit: float | None, tmp_path: Path
) -> None:
    asked = ("run.length=1", "data.batch_size=80", f"optimizer.global_clipnorm={limit or 'null'}")
    experiment = Experiment.composed(
        *SHORT, {"optimizer": "adam", "optimizer.groups": GROUPS}, *asked
    )
    outcome = train(
        experiment, tmp_path, model=gan(), data=((X, X), (X, X)), loss=fixed_step, quiet=True
    )
    twin = gan()
    with tf.GradientTape(persistent=True) as tape:
        by_name = fixed_step(twin, (tf.constant(X),))
    parts = {name: getattr(twin, name) for name in by_name}
    gradients = {
        name: tape.gradient(by_name[name], [w.value for w in part.trainable_weights])
        for name, part in parts.items()
    }
    for name, part in parts.items():
        own = keras.optimizers.Adam(0.01, global_clipnorm=limit)
        own.apply(gradients[name], part.trainable_weights)
    for one, other in zip(outcome.model.weights, twin.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_rows_have_each_loss_and_their_sum(tmp_path: Path) -> None:
    history = run(tmp_path).history
    total = history["loss_generator"] + history["loss_discriminator"]
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)


@pytest.mark.parametrize("compiled", ["graph", "xla"])
def test_a_stopped_one_goes_on_with_the_same_bits_with_all_the_rest(
    compiled: str, tmp_path: Path
) -> None:
    groups = {**GROUPS, "generator": {**GROUPS["generator"], "every": 2}}
    asked = (
        *(f"run.compile={compiled}", "run.micro_batches=2", "ema={momentum: 0.9}"),
        "optimizer.global_clipnorm=0.5",
    )
    whole = run(tmp_path / "whole", *asked, groups=groups)
    run(tmp_path / "parts", *asked, "run.stop_after=3", groups=groups)
    again = run(tmp_path / "parts", *asked, groups=groups)
    assert again.result["weights_digest"] == whole.result["weights_digest"]


def test_a_group_with_every_is_updated_by_each_update_that_it_divides(tmp_path: Path) -> None:
    groups = {**GROUPS, "generator": {**GROUPS["generator"], "every": 3}}
    first = [weight.numpy() for weight in gan().generator.weights]
    ends = []
    for length in (2, 3):
        outcome = run(tmp_path / str(length), f"run.length={length}", groups=groups)
        ends.append([weight.numpy() for weight in outcome.model.generator.weights])
    assert all((a == b).all() for a, b in zip(first, ends[0], strict=True))
    assert any((a != b).any() for a, b in zip(first, ends[1], strict=True))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "has none called generator"),
        ({"generator": GROUPS["generator"]}, "has none called discriminator"),
        (GROUPS | {"biases": {"paths": ["*/bias"]}}, "means only weights|has no loss"),
        (
            {
                "generator": {"paths": ["generator/*/kernel"]},
                "discriminator": GROUPS["discriminator"],
            },
            "leave out",
        ),
    ],
    ids=["none", "one", "more", "rest"],
)
def test_losses_and_groups_must_be_the_same(groups: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=message):
        run(tmp_path, groups=groups)


def test_a_step_takes_values_that_schedules_drive(tmp_path: Path) -> None:
    def annealed(model: keras.Model, batch: Any, values: Any) -> Any:
        loss = tf.reduce_mean(tf.square(model.generator(batch[0]) - batch[0]))
        return loss * values["kl"] + values["fixed"], {"kl": values["kl"]}

    experiment = Experiment.composed(
        *SHORT,
        {
            "loss": {
                "kind": "given",
                "values": {
                    "kl": {"kind": "linear", "initial_value": 0.0, "end_value": 1.0},
                    "fixed": 2.0,
                },
            }
        },
    )
    outcome = train(experiment, tmp_path, model=gan(), data=X, loss=annealed, quiet=True)
    assert outcome.status == "done", outcome.reason
    applied = outcome.history["loss_value_kl"]
    np.testing.assert_array_equal(outcome.history["kl"], applied.astype(np.float32))
    assert applied[0] == 0.0 < applied[-1]
    assert outcome.metrics["eval_kl"] == 1.0
