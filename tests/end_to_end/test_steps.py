"""Training steps of the user's own, from a config and from a program."""

import json
import os
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.commands.test_api import GIVEN, corners, network
from tests.end_to_end.test_docs import CHECKOUT
from tests.helpers import functions, runs
from trainer import Experiment, Refused, train
from trainer.losses import Auto
from trainer.losses.given_step import GivenStep

SMALL = (*runs.SMALL, "run.length=12")
MEAN = functions.mean_cross_entropy


def digest(folder, *overrides, loss=None):
    outcome = train(Experiment.composed(*SMALL, *overrides), folder, loss=loss, quiet=True)
    assert outcome.status == "done", outcome.reason
    return outcome.result["weights_digest"]


SETTINGS = {
    "plain": (),
    "parts": ("run.micro_batches=4", "optimizer.global_clipnorm=0.5"),
    "groups": (
        "model.dropout=0.3",
        "ema={momentum: 0.9}",
        {"optimizer.groups": {"*/bias": {"frozen_until": 5}}},
    ),
    "skip": (
        "run.on_nonfinite=skip",
        "optimizer.momentum={kind: linear, initial_value: 0.5, end_value: 0.9}",
    ),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_step_that_does_what_a_loss_does_gives_its_bits_with_all_the_rest(tmp_path, settings):
    whole = digest(tmp_path / "loss", *settings, "loss=cross_entropy")
    assert digest(tmp_path / "given", *settings, loss=MEAN) == whole
    named = (
        "loss=step",
        "loss.call=tests.helpers.functions:mean_cross_entropy",
        "allow_code=[tests]",
    )
    assert digest(tmp_path / "named", *settings, *named) == whole


def test_one_loss_for_a_batch_counts_as_the_mean_of_its_examples(tmp_path):
    def scalar(model, batch):
        return tf.reduce_mean(MEAN(model, batch))

    assert digest(tmp_path / "1", loss=scalar) == digest(tmp_path / "2", loss=MEAN)


def test_evaluations_call_the_step_itself_unless_another_loss_is_declared(tmp_path):
    def doubled(model, batch):
        return 2 * MEAN(model, batch)

    rate = ("schedule=constant", "schedule.value=1e-9")
    experiment = Experiment.composed(*SMALL, *rate)
    plain = train(experiment, tmp_path / "1", quiet=True)
    twice = train(experiment, tmp_path / "2", loss=doubled, quiet=True)
    assert twice.metrics["eval_loss"] == pytest.approx(2 * plain.metrics["eval_loss"], rel=1e-5)
    assert twice.metrics["eval_accuracy"] == plain.metrics["eval_accuracy"]
    np.testing.assert_allclose(twice.history["loss"], 2 * plain.history["loss"], rtol=1e-5)
    declared = Experiment.composed(*SMALL, *rate, "loss=cross_entropy")
    compared = train(declared, tmp_path / "3", loss=doubled, quiet=True)
    assert compared.metrics == pytest.approx(plain.metrics, rel=1e-5)


def test_a_step_is_told_that_it_evaluates_and_measures_what_it_likes(tmp_path):
    def step(model, batch, training):
        inputs, labels = batch
        outputs = model(inputs, training=training)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)
        return loss, {"size": tf.reduce_mean(tf.abs(outputs)), "training": float(training)}

    stop = "evaluate.stop={metric: eval_size, patience: 99, mode: min}"
    experiment = Experiment.composed(*SMALL, "model.dropout=0.5", stop)
    outcome = train(experiment, tmp_path, loss=step, quiet=True)
    assert set(outcome.history["training"]) == {1.0}
    assert outcome.metrics["eval_training"] == 0.0
    assert (outcome.history["size"] > 0).all()
    assert set(outcome.metrics) == {"eval_loss", "eval_size", "eval_training", "eval_accuracy"}


def test_numbers_beside_the_loss_may_be_of_each_example_as_the_loss_may(tmp_path):
    def step(model, batch):
        losses = MEAN(model, batch)
        return losses, {"each": losses, "all": tf.reduce_mean(losses)}

    # 359 test examples are no multiple of 64, so that some are there twice in the last batch.
    outcome = train(Experiment.composed(*SMALL), tmp_path, loss=step, quiet=True)
    np.testing.assert_array_equal(outcome.history["each"], outcome.history["loss"])
    np.testing.assert_array_equal(outcome.history["all"], outcome.history["loss"])
    assert outcome.metrics["eval_each"] == outcome.metrics["eval_loss"]


@pytest.mark.parametrize(
    ("part", "hint"),
    [
        ({"matrix": tf.zeros((64, 2))}, "one number for the batch, or one for each example"),
        ({"step": 1.0}, "numbers by names, other than"),
        ({"a-b": 1.0}, "numbers by names, other than"),
    ],
    ids=["matrix", "taken", "no name"],
)
def test_what_can_be_no_number_beside_the_loss_is_refused(tmp_path, part, hint):
    with pytest.raises(Refused, match=hint):
        train(
            Experiment.composed(*SMALL),
            tmp_path,
            loss=lambda model, batch: (MEAN(model, batch), part),
            quiet=True,
        )


def test_what_is_waited_for_must_be_measured_by_the_step(tmp_path):
    experiment = Experiment.composed(
        *SMALL, "evaluate.stop={metric: eval_kl, patience: 1, mode: min}"
    )
    with pytest.raises(Refused, match=r"evaluate\.stop\.metric.*is not among"):
        train(experiment, tmp_path, loss=MEAN, quiet=True)


def test_a_stopped_run_with_a_given_step_goes_on_with_the_same_bits_and_no_other_step(tmp_path):
    def step(model, batch):
        inputs, labels = batch
        two = [model(inputs, training=True) for _ in range(2)]  # R-Drop, in short
        apart = tf.reduce_mean(tf.square(two[0] - two[1]))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, two[0]) + apart

    dropout = "model.dropout=0.3"
    whole = digest(tmp_path / "whole", dropout, loss=step)
    early = Experiment.composed(*SMALL, dropout, "run.stop_after=5")
    train(early, tmp_path / "parts", loss=step, quiet=True)
    with pytest.raises(Refused, match=r"loss\.digest"):
        digest(tmp_path / "parts", dropout, loss=lambda model, batch: MEAN(model, batch))
    with pytest.raises(Refused, match=r"loss\.kind"):
        digest(tmp_path / "parts", dropout)
    assert digest(tmp_path / "parts", dropout, loss=step) == whole


def test_model_data_and_step_can_all_be_given(tmp_path):
    mine = network()
    outcome = train(
        Experiment.composed(*GIVEN), tmp_path, model=mine, data=corners(), loss=MEAN, quiet=True
    )
    assert outcome.metrics["eval_accuracy"] > 0.9
    with pytest.raises(Refused, match="was an object of a program"):
        train(Experiment.from_file(tmp_path / "config.yaml"), data=corners(), model=mine)


def test_what_is_bound_to_a_step_tells_it_from_others_and_its_address_does_not():
    def scaled(model, batch, factor):
        return factor * MEAN(model, batch)

    class Scaled:
        def __call__(self, model, batch):
            return MEAN(model, batch)

    def declared(function):
        return GivenStep.from_function(function, Auto())

    one, same, other = (declared(partial(scaled, factor=factor)) for factor in (1.0, 1.0, 2.0))
    assert one.digest == same.digest != other.digest
    assert one.name == "tests.end_to_end.test_steps:" + scaled.__qualname__
    assert declared(Scaled()).digest == declared(Scaled()).digest != declared(MEAN).digest
    built = [{}, {}]
    for space in built:  # without a source, as in an interactive Python
        exec("def step(model, batch): return 1.0", space)
    assert declared(built[0]["step"]).digest == declared(built[1]["step"]).digest


def test_weights_that_a_step_leaves_out_stay_as_they_are(tmp_path):
    inputs = keras.Input((2,))
    mine = keras.Model(inputs, keras.layers.Dense(3, name="used")(inputs))
    other = keras.layers.Dense(3, name="left_out")
    other(inputs)
    both = keras.Model(inputs, mine.output + other(inputs))
    before = other.kernel.numpy().copy()

    def step(model, batch):
        return MEAN(mine, batch)

    train(Experiment.composed(*GIVEN), tmp_path, model=both, data=corners(), loss=step, quiet=True)
    np.testing.assert_array_equal(before, other.kernel)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda model, batch: tf.zeros([5, 5]), r"of shape \(5, 5\) for a batch of 64"),
        (lambda model, batch: tf.argmax(model(batch[0]), axis=-1), "returned int64"),
        (lambda model, batch: tf.constant(1.0), "hangs on none of the model's weights"),
        (lambda model, batch: 1 / 0, "raised ZeroDivisionError"),
        (lambda model, batch: model(batch), "raised "),
        (lambda model, batch: None, "raised "),
        ("cross_entropy", "must be a function"),
    ],
    ids=["matrix", "integer", "constant", "raises", "wrong", "nothing", "word"],
)
def test_a_step_that_gives_something_else_is_refused(tmp_path, loss, message):
    with pytest.raises(Refused, match=message):
        train(Experiment.composed(*SMALL), tmp_path, loss=loss, quiet=True)


def test_a_precision_that_a_given_model_does_not_have_is_refused(tmp_path):
    half = Experiment.composed(*GIVEN, "run.precision=mixed_bfloat16")
    with pytest.raises(Refused, match=r"run\.precision=float32"):
        train(half, tmp_path, model=network(), data=corners())


@pytest.mark.slow
def test_a_given_model_and_step_train_on_several_devices_as_on_one(tmp_path):
    code = """
import sys, numpy as np, tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests import functions
from tests.commands.test_api import GIVEN, corners, network
from trainer import Experiment, train
ends = []
for name, device in (("one", "device=cpu"), ("two", ["device=mirrored", "device.logical=2"])):
    asked = [*GIVEN, "data.batch_size=60", *([device] if isinstance(device, str) else device)]
    mine = network(dropout=0)
    loss = functions.mean_cross_entropy
    outcome = train(Experiment.composed(*asked), name, model=mine, data=corners(), loss=loss, quiet=True)
    assert outcome.status == "done", outcome.reason
    assert outcome.model is mine
    ends.append(mine.get_weights())
for one, two in zip(*ends, strict=True):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
"""  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def noisy_network(kind):
    """A network that takes a time besides the point, as those that undo noise do."""
    keras.utils.set_random_seed(1)
    point, time = keras.Input((2,), name="point"), keras.Input((), dtype="int32", name="time")
    x = keras.layers.Embedding(10, 8)(time) + keras.layers.Dense(8)(point)
    inputs = {"point": point, "time": time} if kind == "dict" else [point, time]
    return keras.Model(inputs, keras.layers.Dense(2)(keras.ops.silu(x)))


def denoise(model, batch):
    points = batch[0]
    time = tf.random.uniform(tf.shape(points)[:1], 0, 10, tf.int32)
    noise = tf.random.normal(tf.shape(points))
    share = tf.cast(time, tf.float32)[:, None] / 10
    noisy = (1 - share) * points + share * noise
    is_dict = isinstance(model.input, dict)
    message = model({"point": noisy, "time": time} if is_dict else [noisy, time])
    return tf.reduce_mean(tf.square(message - noise), axis=-1)


OTHER_INPUTS = (
    *("optimizer=adam", "run.length=12", "run.compile=graph", "data.batch_size=10"),
    *("schedule=constant", "schedule.value=0.01", "ema.momentum=0.9"),
)


@pytest.mark.parametrize("kind", ["dict", pytest.param("list", marks=pytest.mark.slow)])
def test_a_step_may_call_a_network_that_takes_other_inputs_than_the_data_has(tmp_path, kind):
    points = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)

    def run(folder, *asked):
        experiment = Experiment.composed(*OTHER_INPUTS, *asked)
        model = noisy_network(kind)
        return train(
            experiment, tmp_path / folder, model=model, data=points, loss=denoise, quiet=True
        )

    whole = run("whole")
    run("parts", "run.stop_after=5")
    assert run("parts").result["weights_digest"] == whole.result["weights_digest"]
    assert set(whole.metrics) == {"eval_loss"}
    with pytest.raises(Refused, match=r"only the step calls it with\n  hint: export=keras"):
        whole.predict(points)
    run("whole", "export=keras")
    about = json.loads((tmp_path / "whole/export/ema.keras.json").read_text())
    assert about["inputs"]["time"] == {"shape": [None], "dtype": "int32"}
    assert about["outputs"]["shape"] == [None, 2]
    assert not about["of_the_data"]


def test_what_prepares_data_is_no_part_of_a_network_that_takes_other_inputs(tmp_path, capsys):
    points = np.random.default_rng(0).normal(3, 2, size=(100, 2)).astype(np.float32)
    scaled = {"data": {"kind": "given", "normalise": "standardise", "batch_size": 10}}

    def run(*asked):
        experiment = Experiment.composed(*OTHER_INPUTS, scaled, *asked)
        train(experiment, tmp_path / "run", model=noisy_network("list"), data=points, loss=denoise)
        return (tmp_path / "run/export/ema.keras").exists()

    assert not run("export=keras")
    assert "hint: export.inputs=prepared" in capsys.readouterr().err
    assert run("export=keras", "export.inputs=prepared")


def test_a_network_whose_call_takes_other_arguments_trains_by_a_step(tmp_path):
    class Subclass(keras.Model):
        def __init__(self):
            super().__init__()
            self.end = keras.layers.Dense(2)

        def call(self, point, time, training=False):
            return self.end(point) + time

    model = Subclass()
    model(tf.zeros((1, 2)), tf.zeros((1, 1)))

    def step(model, batch):
        return tf.square(model(batch[0], time=batch[0][:, 1:]) - batch[0])[:, 0]

    points = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    asked = [word for word in OTHER_INPUTS if not word.startswith("ema")]
    outcome = train(
        Experiment.composed(*asked), tmp_path, model=model, data=points, loss=step, quiet=True
    )
    assert outcome.history["loss"][-1] < outcome.history["loss"][0]


USERS = np.arange(60) % 7
FILMS = np.array(["alien", "brazil", "casablanca"])[np.arange(60) % 3]


def towers(vocabulary=None):
    """A network for pairs of a user and a film, which is text where there is a vocabulary."""
    keras.utils.set_random_seed(1)
    user = keras.Input((), dtype="int32", name="user")
    film = keras.Input((), dtype="string" if vocabulary else "int32", name="film")
    ids = keras.layers.StringLookup(vocabulary=vocabulary)(film) if vocabulary else film
    pairs = {"of_user": user, "of_film": ids}
    ends = [keras.layers.Embedding(9, 3, name=name)(x) for name, x in pairs.items()]
    return keras.Model([user, film], ends)


def each_with_each(model, batch):
    of_user, of_film = model(batch[0], training=True)
    scores = tf.matmul(of_user, of_film, transpose_b=True)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(tf.shape(scores)[0]), scores)


@pytest.mark.parametrize("is_text", [False, True], ids=["ids", "text"])
def test_a_step_needs_no_labels_and_what_compares_with_them_is_refused(tmp_path, is_text, capsys):
    vocabulary = sorted(set(FILMS)) if is_text else None
    films = FILMS if is_text else np.unique(FILMS, return_inverse=True)[1]
    data = {"user": USERS, "film": films}
    asked = ("run.compile=graph", "data.batch_size=16", "run.length=9")

    def outcome(folder, *overrides):
        experiment = Experiment.composed(*asked, *overrides)
        return train(
            experiment, tmp_path / folder, model=towers(vocabulary), data=data, loss=each_with_each
        )

    whole = outcome("whole")
    assert set(whole.metrics) == {"eval_loss"}
    assert "labels    none\nexamples  48 to train, 12 held out" in capsys.readouterr().out
    outcome("half", "run.stop_after=4")
    assert outcome("half").result["weights_digest"] == whole.result["weights_digest"]
    for loss in ("auto", "mean_squared_error"):
        with pytest.raises(Refused, match="has no labels, and the input") as refused:
            train(Experiment.composed(*asked, f"loss={loss}"), model=towers(vocabulary), data=data)
        assert "a training step needs no labels" in str(refused.value)
    with pytest.raises(Refused, match="has no labels"):
        outcome("compared", "loss=mean_squared_error")
    with pytest.raises(Refused, match=r"metrics\.r2"):
        outcome("measured", "metrics.r2={}")


@pytest.mark.parametrize("field", ["values={kl: 0.5}", "evaluated={kind: cross_entropy}"])
@pytest.mark.parametrize("declared", ["loss=auto", "loss=cross_entropy"])
def test_what_a_step_alone_has_is_refused_with_the_override_that_gives_it(
    tmp_path, field, declared
):
    with pytest.raises(Refused) as caught:
        Experiment.composed(*SMALL, declared, f"loss.{field}")
    name, _, value = field.partition("=")
    assert f"hint: loss={{kind: given, {name}: {{…}}}} for the step" in str(caught.value)
    given = f"loss={{kind: given, {name}: {value}}}"
    outcome = train(Experiment.composed(*SMALL, given), tmp_path, loss=MEAN, quiet=True)
    assert outcome.status == "done"
