"""Trees of arrays: several inputs, several outputs, weights, masks, and a class at each place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from schedules import Refused
from trainer import Experiment, train

RANDOM = np.random.default_rng(3)
N = 60
AGE = RANDOM.normal(size=(N, 4)).astype(np.float32)
JOB = RANDOM.integers(0, 7, size=N)
SORT = RANDOM.integers(0, 3, size=N)
PRICE = RANDOM.normal(size=N).astype(np.float32)
WEIGHTS = RANDOM.uniform(0, 2, size=N).astype(np.float32)
RATE = 0.1
PLAIN = ("schedule=constant", f"schedule.value={RATE}", "optimizer=sgd", "run.compile=graph")


def one_update(model: keras.Model, data: Any, folder: Path, *overrides: str, **given: Any) -> Any:
    """Trains one update of all examples, which are the test examples too."""
    asked = ("run.length=1", f"data.batch_size={N}", *PLAIN)
    experiment = Experiment.composed(*asked, *overrides)
    return train(experiment, folder, model=model, data=(data, data), quiet=True, **given)


def by_keras(model: keras.Model, data: Any, **compiled: Any) -> tuple[keras.Model, Any]:
    """The same network after the same update by `fit`, and what Keras evaluates it to."""
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile(optimizer=keras.optimizers.SGD(RATE), **compiled)
    x, y, *weights = data
    weight = weights[0] if weights else None
    twin.fit(x, y, sample_weight=weight, batch_size=N, epochs=1, shuffle=False, verbose=0)
    measured = twin.evaluate(x, y, sample_weight=weight, batch_size=N, verbose=0, return_dict=True)
    return twin, measured


def same_weights(one: keras.Model, other: keras.Model) -> None:
    pairs = zip(one.trainable_weights, other.trainable_weights, strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def two_inputs(as_dict: bool = True, outputs: int = 3) -> keras.Model:
    age = keras.Input((4,), name="age")
    job = keras.Input((), dtype="int32", name="job")
    embedded = layers.Embedding(7, 3, name="embed")(job)
    x = layers.Concatenate(name="both")([embedded, layers.Dense(3, name="dense")(age)])
    y = layers.Dense(outputs, name="end")(x)
    return keras.Model({"job": job, "age": age} if as_dict else [job, age], y)


CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "list"])
def test_inputs_by_name_train_as_fit_trains_them(as_dict: bool, tmp_path: Path) -> None:
    model = two_inputs(as_dict)
    twin, measured = by_keras(model, ({"age": AGE, "job": JOB}, SORT), loss=CE)
    # In another order than the model's: names count, and not places.
    outcome = one_update(model, ({"age": AGE, "job": JOB}, SORT), tmp_path)
    same_weights(outcome.model, twin)
    assert outcome.metrics["eval_loss"] == pytest.approx(measured["loss"], rel=1e-4)


def test_inputs_without_names_go_by_their_order(tmp_path: Path) -> None:
    model = two_inputs(as_dict=False)
    twin, _ = by_keras(model, ([JOB, AGE], SORT), loss=CE)
    same_weights(one_update(model, ([JOB, AGE], SORT), tmp_path).model, twin)


def test_a_dataset_may_have_any_structure(tmp_path: Path) -> None:
    model = two_inputs()
    twin, _ = by_keras(model, ({"age": AGE, "job": JOB}, SORT, WEIGHTS), loss=CE)
    parts = tf.data.Dataset.from_tensor_slices(({"age": AGE, "job": JOB}, SORT, WEIGHTS))
    same_weights(one_update(model, parts, tmp_path).model, twin)


def test_names_that_differ_are_told_as_a_table(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        one_update(two_inputs(), ({"age": AGE, "work": JOB}, SORT), tmp_path / "run")
    message = str(caught.value)
    assert "age   network [4]          data [4]" in message
    assert "job   network []           data –" in message
    assert "work  network –            data [1]" in message


def several_outputs() -> keras.Model:
    x = keras.Input((4,), name="age")
    hidden = layers.Dense(5, "tanh", name="hidden")(x)
    sort = layers.Dense(3, name="sort")(hidden)
    price = layers.Dense(1, name="price")(hidden)
    return keras.Model(x, {"price": price, "sort": sort})


def test_several_outputs_have_a_loss_and_a_weight_each(tmp_path: Path) -> None:
    model = several_outputs()
    data = (AGE, {"sort": SORT, "price": PRICE[:, None]}, WEIGHTS)
    losses = {"sort": CE, "price": keras.losses.MeanAbsoluteError()}
    twin, measured = by_keras(model, data, loss=losses, loss_weights={"sort": 1.0, "price": 0.3})
    price = "loss.outputs.price={kind: mean_absolute_error}"
    outcome = one_update(model, data, tmp_path, price, "loss.weights.price=0.3")
    same_weights(outcome.model, twin)
    assert outcome.metrics["eval_loss"] == pytest.approx(measured["loss"], rel=1e-4)
    names = {"loss", "loss_sort", "loss_price", "sort_accuracy", "price_mean_absolute_error"}
    assert set(outcome.metrics) == {f"eval_{name}" for name in names}
    row = outcome.history
    assert row["loss"] == pytest.approx(row["loss_sort"] + 0.3 * row["loss_price"])


def test_the_weight_of_a_loss_takes_a_schedule(tmp_path: Path) -> None:
    annealed = "loss.weights.price={kind: linear, initial_value: 0.0, end_value: 1.0}"
    data = (AGE, {"sort": SORT, "price": PRICE})
    asked = ("run.length=5", "log.every=1", "data.batch_size=20", *PLAIN, annealed)
    experiment = Experiment.composed(*asked)
    rows = train(experiment, tmp_path, model=several_outputs(), data=data, quiet=True).history
    weight = np.linspace(0, 1, 6)[:5]
    np.testing.assert_allclose(rows["loss_weight_price"], weight, atol=1e-12)
    np.testing.assert_allclose(rows["loss"], rows["loss_sort"] + weight * rows["loss_price"], 1e-5)


def test_weights_of_examples_count_in_losses_and_metrics(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    twin, measured = by_keras(model, (AGE, SORT, WEIGHTS), loss=CE, weighted_metrics=["accuracy"])
    outcome = one_update(model, (AGE, SORT, WEIGHTS), tmp_path)
    same_weights(outcome.model, twin)
    assert outcome.metrics["eval_loss"] == pytest.approx(measured["loss"], rel=1e-4)
    assert outcome.metrics["eval_accuracy"] == pytest.approx(measured["accuracy"], rel=1e-4)


def test_a_class_at_each_place_is_learnt_as_fit_learns_it(tmp_path: Path) -> None:
    images = RANDOM.normal(size=(N, 6, 6, 2)).astype(np.float32)
    places = RANDOM.integers(0, 3, size=(N, 6, 6, 1))
    model = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3, padding="same")])
    twin, measured = by_keras(model, (images, places), loss=CE, metrics=["accuracy"])
    outcome = one_update(model, (images, places), tmp_path)
    same_weights(outcome.model, twin)
    assert outcome.metrics["eval_loss"] == pytest.approx(measured["loss"], rel=1e-4)
    assert outcome.metrics["eval_accuracy"] == pytest.approx(measured["accuracy"], rel=1e-4)


def test_inputs_alone_are_given_back(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2), layers.Dense(4)])
    twin, measured = by_keras(model, (AGE, AGE), loss="mse")
    asked = ("run.length=1", f"data.batch_size={N}", *PLAIN)
    data = ((AGE, None), (AGE, None))
    outcome = train(Experiment.composed(*asked), tmp_path, model=model, data=data, quiet=True)
    same_weights(outcome.model, twin)
    assert outcome.metrics["eval_loss"] == pytest.approx(measured["loss"], rel=1e-4)


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("kind", ["auto", "cross_entropy", "binary_cross_entropy"])
def test_a_single_unit_for_two_classes_is_their_sigmoid(
    logits: bool, kind: str, tmp_path: Path
) -> None:
    end = layers.Dense(1, None if logits else "sigmoid")
    model = keras.Sequential([keras.Input((4,)), end])
    two = (SORT > 0).astype(np.int64)
    loss = keras.losses.BinaryCrossentropy(from_logits=logits)
    twin, measured = by_keras(model, (AGE, two), loss=loss, metrics=[keras.metrics.AUC(20_000)])
    metrics = ("metrics.auc={}", "metrics.precision={average: 1}")
    asked = (f"loss={kind}", f"loss.from_logits={str(logits).lower()}", *metrics)
    outcome = one_update(model, (AGE, two), tmp_path, *asked)
    same_weights(outcome.model, twin)
    assert outcome.metrics["eval_loss"] == pytest.approx(measured["loss"], rel=1e-4)
    [auc] = [value for name, value in measured.items() if name.startswith("auc")]
    if logits is False:
        assert outcome.metrics["eval_auc"] == pytest.approx(auc, abs=2e-3)
    right = outcome.metrics["eval_accuracy"]
    assert right == np.mean((np.asarray(outcome.model(AGE))[:, 0] > (0 if logits else 0.5)) == two)


def test_places_that_layers_mask_count_for_nothing(tmp_path: Path) -> None:
    words = RANDOM.integers(1, 9, size=(N, 5))
    words[RANDOM.random((N, 5)) < 0.3] = 0
    tags = RANDOM.integers(0, 3, size=(N, 5))
    embedding = layers.Embedding(9, 4, mask_zero=True)
    model = keras.Sequential([keras.Input((5,), dtype="int32"), embedding, layers.Dense(3)])
    twin, measured = by_keras(model, (words, tags), loss=CE, weighted_metrics=["accuracy"])
    outcome = one_update(
        model,
        (words, tags),
        tmp_path,
        f"data={{kind: given, task: classification, batch_size: {N}}}",
    )
    same_weights(outcome.model, twin)
    assert outcome.metrics["eval_loss"] == pytest.approx(measured["loss"], rel=1e-4)
    there = words > 0
    right = np.asarray(outcome.model(words)).argmax(-1) == tags
    assert outcome.metrics["eval_accuracy"] == pytest.approx(right[there].mean())


def test_penalties_of_layers_are_told_in_rows(tmp_path: Path) -> None:
    dense = layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))
    model = keras.Sequential([keras.Input((4,)), dense])
    expected = 0.1 * float(np.square(model.get_weights()[0]).sum())
    rows = one_update(model, (AGE, SORT), tmp_path).history
    assert rows["penalties"] == pytest.approx(expected, rel=1e-5)


def test_trees_stream_and_go_on_with_the_same_bits(tmp_path: Path) -> None:
    data = ({"age": AGE, "job": JOB}, {"sort": SORT, "price": PRICE}, WEIGHTS)

    def model() -> keras.Model:
        keras.utils.set_random_seed(1)
        base = two_inputs(outputs=4)
        sort = layers.Dense(3, name="sort")(base.output)
        return keras.Model(base.input, [sort, layers.Dense(1, name="price")(base.output)])

    def digest(folder: str, *overrides: str) -> str:
        asked = ("run.length=9", "data.batch_size=7", *PLAIN, *overrides)
        experiment = Experiment.composed(*asked)
        outcome = train(experiment, tmp_path / folder, model=model(), data=data, quiet=True)
        return str(outcome.result["weights_digest"])

    whole = digest("whole")
    assert digest("streamed", "data.keep=stream") == whole
    digest("parts", "run.stop_after=4")
    assert digest("parts") == whole


def test_what_a_network_draws_in_evaluations_changes_no_weight(tmp_path: Path) -> None:
    def digest(every: int) -> str:
        keras.utils.set_random_seed(1)
        noise = layers.GaussianNoise(0.1, seed=3)
        hidden = keras.Input((4,))
        drawn = layers.Dense(3)(noise(hidden, training=True))
        model = keras.Model(hidden, drawn)
        asked = ("run.length=12", "data.batch_size=20", *PLAIN, f"evaluate.every={every}")
        folder = tmp_path / str(every)
        outcome = train(
            Experiment.composed(*asked), folder, model=model, data=(AGE, SORT), quiet=True
        )
        return str(outcome.result["weights_digest"])

    assert digest(2) == digest(12)


@pytest.mark.parametrize("kind", ["keras", "saved_model"])
def test_files_of_several_inputs_and_outputs_say_what_the_network_says(
    kind: str, tmp_path: Path
) -> None:
    base = two_inputs()
    sort = layers.Dense(3, name="sort")(base.output)
    price = layers.Dense(1, name="price")(base.output)
    model = keras.Model(base.input, {"sort": sort, "price": price})
    data = ({"age": AGE, "job": JOB}, {"sort": SORT, "price": PRICE})
    outcome = one_update(model, data, tmp_path / "run", f"export={kind}")
    [file] = (outcome.folder / "export").glob("final.*[!n]")
    inputs = {"age": tf.constant(AGE), "job": tf.constant(JOB, tf.int32)}
    if kind == "keras":
        given = keras.models.load_model(file)(inputs)
    else:
        served = tf.saved_model.load(str(file))
        given = served.serve(inputs)
    mine = outcome.model(inputs)
    for name in ("sort", "price"):
        np.testing.assert_allclose(given[name], mine[name], atol=1e-5)


def test_a_saved_model_takes_whole_numbers_and_leaves_random_layers_out(tmp_path: Path) -> None:
    images = RANDOM.integers(0, 9, size=(N, 4, 4, 1))
    inputs = keras.Input((4, 4, 1), dtype="int32")
    x = layers.RandomFlip(seed=1)(layers.Rescaling(1.0)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    outcome = one_update(model, (images, SORT), tmp_path, "export=saved_model")
    served = tf.saved_model.load(str(outcome.folder / "export" / "final.saved_model"))
    given = served.serve(tf.constant(images, tf.int32))
    np.testing.assert_allclose(given, outcome.model(images, training=False), atol=1e-5)
