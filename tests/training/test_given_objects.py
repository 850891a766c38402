"""Objects that a program gave a run, and what a process without the program can do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from schedules import Refused
from tests.helpers.own_layers import Doubled, Tripled
from tests.helpers.runs import experiment, files
from trainer import Experiment, export, predict, train
from trainer.config.hydra import compose
from trainer.runs.folder import Folder
from trainer.training.given_objects import with_kept_objects

RANDOM = np.random.default_rng(5)
N = 40
X = RANDOM.normal(3, 2, size=(N, 4)).astype(np.float32)
SORT = np.arange(N) % 3
TEXTS = np.array([["good film"], ["bad film"], ["good"], ["bad, bad"]] * 10, object)
PLAIN = ("run.length=2", "run.compile=graph", "optimizer=sgd", "schedule=constant",
         "schedule.value=0.1", "model=mlp", "model.hidden=[4]")  # fmt: skip
DATA = {"data": {"kind": "given", "batch_size": 8, "normalise": "standardise"}}


def plain() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(3)])


def of_text() -> keras.Model:
    """A vocabulary that was learnt is neither a weight nor in the architecture."""
    words = layers.TextVectorization(output_sequence_length=3)
    words.adapt(TEXTS)
    inputs = keras.Input((1,), dtype="string")
    embedded = layers.Embedding(words.vocabulary_size(), 3, mask_zero=True)(words(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.GRU(4)(embedded)))


def registered() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), Doubled(), layers.Dense(3)])


def given(folder: Path, model: Any, x: Any = X, y: Any = SORT, **settings: Any) -> Any:
    asked = (*PLAIN, DATA) if x is X else (*PLAIN, {"data": {"kind": "given", "batch_size": 8}})
    declared = Experiment.composed(*asked)
    return train(declared, folder, model=model, data=(x, y), quiet=True, **settings)


def saved(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    "kind",
    [
        "plain",
        "registered",
        pytest.param("text", marks=pytest.mark.slow),
        pytest.param("declared", marks=pytest.mark.slow),
    ],
)
def test_the_command_line_predicts_and_exports_what_a_program_trained(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {"plain": plain, "text": of_text, "registered": registered, "declared": lambda: None}
    x, y = (TEXTS, np.arange(N) % 2) if kind == "text" else (X, SORT)
    outcome = given(tmp_path / "run", models[kind](), x, y)
    expected = outcome.predict(x)
    run = str(tmp_path / "run")
    np.savez(tmp_path / "x.npz", inputs=x.astype(str) if kind == "text" else x)
    asked = [f"--inputs={tmp_path}/x.npz", f"--output={tmp_path}/p.npz"]
    allowed = ["allow_code=[tests.helpers.own_layers]"] if kind == "registered" else []
    assert predict.main([run, *asked, *allowed]) == 0
    np.testing.assert_allclose(saved(tmp_path / "p.npz")["outputs"], expected, atol=1e-6)
    assert export.main([run, "export=keras", *allowed]) == 0
    assert "made-up inputs" in capsys.readouterr().out
    exported = keras.models.load_model(f"{run}/export/final.keras")
    raw = tf.constant(x)
    np.testing.assert_allclose(tf.nn.softmax(exported(raw)), expected, atol=1e-5)
    if kind == "registered":
        assert predict.main([run, *asked]) == 2
        assert "allow_code=[tests.helpers.own_layers]" in capsys.readouterr().err


def test_labelled_files_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = given(tmp_path / "run", plain())
    np.savez(tmp_path / "x.npz", inputs=X, labels=SORT)
    asked = ["data=npz", f"data.path={tmp_path}/x.npz", "--part=all"]
    assert predict.main([str(tmp_path / "run"), *asked, f"--output={tmp_path}/p.csv"]) == 0
    right = np.mean(outcome.predict(X).argmax(axis=1) == SORT)
    assert f"eval_accuracy {right:.6g}  on 40 examples of npz" in capsys.readouterr().out


def test_what_keras_can_not_write_is_exported_by_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Tripled(layers.Dense(3), object())
    model(X)
    outcome = given(tmp_path, model)
    np.save(tmp_path / "x.npy", X)
    assert predict.main([str(tmp_path), f"--inputs={tmp_path}/x.npy"]) == 2
    message = capsys.readouterr().err
    assert "model.kind = 'given': was an object of a program, and no file has it" in message
    assert "since Keras could write none" in message
    assert "outcome.export('saved_model'), or outcome.predict(raw)" in message
    loaded = tf.saved_model.load(str(outcome.export("saved_model")))
    served = loaded.serve(tf.constant(X))
    np.testing.assert_allclose(tf.nn.softmax(served), outcome.predict(X), atol=1e-5)


def test_a_network_is_predicted_by_without_the_step_that_trained_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def step(model: keras.Model, batch: Any) -> Any:
        logits = model(batch[0], training=True)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(batch[1], logits)

    outcome = train(experiment("run.length=2"), tmp_path / "run", loss=step, quiet=True)
    run, output = str(tmp_path / "run"), f"--output={tmp_path}/p.npy"
    assert predict.main([run, output]) == 0
    assert "not measured, since the step of a program is not here" in capsys.readouterr().out
    images = outcome._experiment().data.load().test.inputs * 16
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), outcome.predict(images), atol=1e-6)
    assert export.main([run, "export=keras"]) == 0


def test_data_without_a_file_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given(tmp_path, plain())
    assert predict.main([str(tmp_path)]) == 2
    assert "hint: --inputs=FILE.npy" in capsys.readouterr().err
    np.save(tmp_path / "x.npy", X)
    asked = [str(tmp_path), f"--inputs={tmp_path}/x.npy", "data=digits"]
    assert predict.main(asked) == 2
    assert "--inputs = " in capsys.readouterr().err


def test_predicting_leaves_a_given_model_with_its_weights(tmp_path: Path) -> None:
    model = plain()
    declared = Experiment.composed(*PLAIN, DATA, "ema.momentum=0.5")
    outcome = train(declared, tmp_path, model=model, data=(X, SORT), quiet=True)
    before = [weight.numpy().copy() for weight in model.weights]
    outcome.predict(X)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_to_run_it_again_all_objects_are_asked_for(tmp_path: Path) -> None:
    def step(model: keras.Model, batch: Any) -> Any:
        return tf.reduce_mean(tf.square(model(batch[0], training=True)))

    given(tmp_path / "run", plain(), loss=step)
    again = Experiment.from_file(tmp_path / "run" / "config.yaml")
    with pytest.raises(Refused) as caught:
        train(again, tmp_path / "again")
    assert [problem.path for problem in caught.value.problems] == [
        "model.kind", "data.kind", "loss.kind",
    ]  # fmt: skip
    assert caught.value.problems[0].hint.endswith("train(experiment, model=…, data=…, loss=…)")
    outcome = train(again, tmp_path / "again", model=plain(), data=(X, SORT), loss=step, quiet=True)
    assert outcome.status == "done"


def test_of_an_older_folder_it_is_said_what_lacks(tmp_path: Path) -> None:
    given(tmp_path, None)
    (tmp_path / "given_data.json").unlink()
    declared = Experiment.declared(compose([f"rerun={tmp_path}"]))
    with pytest.raises(Refused, match=r"data\.kind = 'given'.*\n.*outcome\.predict"):
        with_kept_objects(declared, Folder(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", '{"examples": 3}', "[" * 99, '{"ranges": NaN}'])
def test_a_damaged_record_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given(tmp_path, None)
    (tmp_path / "given_data.json").write_text(text)
    assert export.main([str(tmp_path), "export=keras"]) == 2
    assert "given_data.json: can't be read: " in capsys.readouterr().err
    assert "given_data.json" in files(tmp_path)
