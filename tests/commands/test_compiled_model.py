"""What a given model was told for `fit` is honoured or refused, never ignored."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from schedules import Problem, Refused
from trainer import Experiment, train
from trainer.commands.given import Given
from trainer.data import Facts
from trainer.losses.classes import BinaryCrossEntropy

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
CLASSES = np.arange(60) % 3
CE = keras.losses.SparseCategoricalCrossentropy


def network(kind: type[keras.Model] = keras.Sequential) -> keras.Model:
    return kind([keras.Input((3,)), keras.layers.Dense(3)])


def short(*asked: str) -> Experiment:
    return Experiment.composed("run.length=2", "run.compile=graph", "data.batch_size=16", *asked)


def saying_all(experiment: Experiment) -> Experiment:
    """The same as if it had been declared as a whole, of which nothing is left to defaults."""
    return experiment.with_parts({})


def run(folder: Path, model: keras.Model, *asked: str, labels: Any = CLASSES, **given: Any) -> Any:
    return train(short(*asked), folder, model=model, data=(X, labels), quiet=True, **given)


def refusal(folder: Path, model: keras.Model, *asked: str, labels: Any = CLASSES) -> Problem:
    """The one problem of a config that says all, and not what the model was compiled with."""
    with pytest.raises(Refused) as caught:
        train(saying_all(short(*asked)), folder, model=model, data=(X, labels), quiet=True)
    [problem] = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("compiled", "path", "mend"),
    [
        ({"loss": "mae"}, "loss", "loss=mean_absolute_error"),
        ({"loss": keras.losses.Huber()}, "loss", "loss=huber"),
        ({"optimizer": keras.optimizers.Adam(0.5)}, "optimizer", "schedule.value=0.5"),
        ({"optimizer": "lion"}, "optimizer", "optimizer=lion"),
        ({"metrics": [keras.metrics.RootMeanSquaredError()]}, "metrics", "squared_error={}"),
    ],
)
def test_what_a_model_was_compiled_with_is_refused_with_the_override_that_says_it(
    compiled: dict[str, Any], path: str, mend: str, tmp_path: Path
) -> None:
    model = network()
    model.compile(**compiled)
    problem = refusal(tmp_path / "first", model, labels=X)
    assert problem.path == path
    assert mend in problem.hint
    assert run(tmp_path / "second", model, *problem.hint.split(), labels=X).status == "done"


TWO_LABELS = {"a": CLASSES, "b": X[:, 0]}


def two_outputs() -> keras.Model:
    x = keras.Input((3,))
    return keras.Model(
        x, {"a": keras.layers.Dense(3, name="a")(x), "b": keras.layers.Dense(1, name="b")(x)}
    )


EVERY: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "optimizer": [
        ({"optimizer": keras.optimizers.SGD(0.1, clipnorm=0.5)}, "optimizer.clipnorm", "0.5"),
        ({"optimizer": keras.optimizers.SGD(0.1, momentum=0.8)}, "optimizer.momentum", "0.8"),
        ({"optimizer": keras.optimizers.SGD(0.1, 0.9, nesterov=True)}, "optimizer", "=nesterov"),
        ({"optimizer": keras.optimizers.SGD(use_ema=True)}, "ema.momentum", "ema.momentum=0.99"),
        ({"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=2)}, "run.micro_batches",
         "run.micro_batches=2 data.batch_size=32"),
        ({"optimizer": keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9))},
         "schedule", ""),
        ({"optimizer": keras.optimizers.SGD(loss_scale_factor=2.0)}, "optimizer", ""),
    ],
    "loss": [({"loss": "mae"}, "loss", "loss=mean_absolute_error")],
    "loss_weights": [
        ({"loss_weights": {"a": 1.0, "b": 0.25}}, "loss.weights.b", "loss.weights.b=0.25"),
        ({"loss_weights": [1.0, 0.25]}, "loss.weights.b", "loss.weights.b=0.25"),
        ({"loss_weights": [0.5]}, "loss", ""),
    ],
    "metrics": [({"metrics": ["mape"]}, "metrics", "")],
    "weighted_metrics": [
        ({"weighted_metrics": [keras.metrics.RootMeanSquaredError()]}, "metrics",
         "metrics.root_mean_squared_error={}"),
    ],
    "run_eagerly": [({"run_eagerly": True}, "run.compile", "")],
    "steps_per_execution": [
        ({"steps_per_execution": 2}, "run.steps_per_call", "run.steps_per_call=2"),
    ],
    "jit_compile": [
        ({"jit_compile": True}, "run.compile", "run.compile=xla"),
        ({"jit_compile": False}, "run.compile", "run.compile=graph"),
    ],
    "auto_scale_loss": [({"auto_scale_loss": False}, "run.precision", "")],
}  # fmt: skip
"""What is compiled, the path of the refusal, and what its hint has; with none it is no override."""


@pytest.mark.parametrize("argument", inspect.signature(keras.Model.compile).parameters)
def test_every_argument_of_compile_is_honoured_or_refused(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if argument == "self":
        assert EVERY.keys() == inspect.signature(keras.Model.compile).parameters.keys() - {"self"}
    for i, (compiled, path, mend) in enumerate(EVERY.get(argument, [])):
        several = len(compiled.get("loss_weights", ())) > 1
        labels = TWO_LABELS if several else X
        way = "xla" if compiled.get("jit_compile") is False else "graph"
        asked = [f"run.compile={way}"]
        if argument == "jit_compile":  # whatever `auto` means to Keras on this machine
            automatic = not compiled["jit_compile"]
            monkeypatch.setattr(keras.Model, "_resolve_auto_jit_compile", lambda self: automatic)  # noqa: B023
            monkeypatch.setattr("keras.src.trainers.trainer.model_supports_jit", lambda model: True)
        if argument == "auto_scale_loss":
            keras.config.set_dtype_policy("mixed_float16")
            asked += ["run.precision=mixed_float16"]
        try:
            model = two_outputs() if several else network()
        finally:
            keras.config.set_dtype_policy("float32")
        model.compile(**{"optimizer": keras.optimizers.SGD(0.1), **compiled})
        problem = refusal(tmp_path / str(i), model, *asked, labels=labels)
        assert problem.path == path
        assert mend in problem.hint
        assert problem.hint
        unsaid = asked[1:] if argument == "jit_compile" else asked
        if mend:
            plain = Experiment.composed("run.length=2", "data.batch_size=16", *unsaid)
            complete = Given.of(model, (X, labels), None).completed(plain)
            assert complete.composition.compiled
            again = Given.of(model, (X, labels), None).completed(saying_all(complete))
            assert again.model_dump() == complete.model_dump()


def test_weights_of_examples_count_in_metrics_or_it_is_refused(tmp_path: Path) -> None:
    model = network()
    model.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"])
    experiment = Experiment.composed("run.length=2", "run.compile=graph", "data.batch_size=16")
    data = (X, CLASSES, np.ones(60, np.float32))
    with pytest.raises(Refused, match="compile with weighted_metrics in place of metrics"):
        train(experiment, tmp_path / "first", model=model, data=data)
    model.compile(keras.optimizers.SGD(0.1), weighted_metrics=["accuracy"])
    assert train(experiment, tmp_path / "second", model=model, data=data, quiet=True).metrics


def test_what_was_compiled_in_float16_is_the_optimizer_within_its_scale(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)))
    assert run(tmp_path, model, "run.precision=mixed_float16", labels=X).status == "done"


def test_logits_must_be_meant_alike(tmp_path: Path) -> None:
    model = network()
    model.compile(loss=CE(from_logits=False))
    assert refusal(tmp_path, model).hint == "loss.from_logits=false"


SIGMOIDS = {"b": 2.0, "a": 1.0}


def test_a_compiled_model_trains_as_it_is_and_says_what_was_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = keras.Input((3,))
    dense = keras.layers.Dense
    model = keras.Model(x, {"a": dense(3, "softmax", name="a")(x), "b": dense(1, name="b")(x)})
    model.compile(
        keras.optimizers.Adam(0.003, beta_1=0.5),
        {"a": "sparse_categorical_crossentropy", "b": keras.losses.Huber()},
        loss_weights=SIGMOIDS,
        metrics={"a": ["accuracy", "auc"], "b": ["mae"]},
    )
    outcome = train(short(), tmp_path, model=model, data=(X, TWO_LABELS))
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (config["optimizer"]["kind"], config["optimizer"]["beta_1"]) == ("adam", 0.5)
    assert config["schedule"] == {"kind": "constant", "value": 0.003}
    assert config["loss"]["outputs"]["a"]["from_logits"] is False
    assert config["loss"]["outputs"]["b"]["kind"] == "huber"
    assert {"eval_a_auc", "eval_b_mean_absolute_error"} <= set(outcome.metrics)
    assert "what the model was compiled with: " in (printed := capsys.readouterr().out)
    assert "optimizer=adam schedule=constant schedule.value=0.003" in printed
    # The same call goes on in it.
    assert train(short(), tmp_path, model=model, data=(X, TWO_LABELS), quiet=True).status == "done"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["optimizer=adam"], ("adam", "constant")),
        (["optimizer=sgd"], None),
        (["schedule=cosine"], ("adam", "cosine")),
        (["schedule.initial_value=0.1"], ("adam", "cosine")),
        (["optimizer.clipnorm=1"], ("adam", "constant")),
        ([{"schedule": {"kind": "rex", "initial_value": 0.1}}], ("adam", "rex")),
        (["experiment=sgdr"], None),
    ],
)
def test_what_a_program_says_wins_or_contradicts(overrides: Any, expected: Any) -> None:
    model = network()
    model.compile(keras.optimizers.Adam(0.003))
    given = Given.of(model, (X, CLASSES), None)
    experiment = Experiment.composed(*overrides)
    if expected is None:
        with pytest.raises(Refused, match="is not Adam, which the model was compiled with"):
            given.completed(experiment)
        return
    complete = given.completed(experiment)
    assert (complete.optimizer.kind, complete.schedule.kind) == expected


def test_one_sigmoid_for_two_classes_is_measured_by_accuracy(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC()])
    outcome = run(tmp_path, model, labels=(X[:, 0] > 0).astype(int))
    assert {"eval_accuracy", "eval_auc"} <= set(outcome.metrics)
    with pytest.raises(Refused, match="binary_accuracy"):
        short(
            "data=digits", "metrics.binary_accuracy={}", "loss=binary_cross_entropy"
        ).metrics.for_data(Facts.of(10, (3,), 2), BinaryCrossEntropy())


def test_a_class_that_is_not_built_is_built_on_what_the_data_has(tmp_path: Path) -> None:
    class Own(keras.Model):  # type: ignore[misc]  # Keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self.end = keras.layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            return self.end(inputs["left"] + inputs["right"])

    lazy = keras.Sequential([keras.layers.Dense(3)])
    assert run(tmp_path / "lazy", lazy).status == "done"
    data = ({"left": X, "right": X}, CLASSES)
    assert train(short(), tmp_path / "named", model=Own(), data=data, quiet=True).status == "done"
    with pytest.raises(Refused, match="can't be built by a call on inputs of the data: raised"):
        run(tmp_path / "one", Own())


def test_what_says_the_same_as_the_config_trains(tmp_path: Path) -> None:
    model = network()
    model.compile(keras.optimizers.SGD(0.1), CE(from_logits=True), metrics=["accuracy"])
    assert run(tmp_path, model).status == "done"


@pytest.mark.parametrize("name", ["train_step", "test_step", "compute_loss", "compute_metrics"])
def test_a_method_of_its_own_is_refused_until_a_step_takes_its_place(
    name: str, tmp_path: Path
) -> None:
    def raises(self: keras.Model, *args: Any, **settings: Any) -> Any:
        raise AssertionError("only fit calls it")

    own = network(type("Own", (keras.Sequential,), {name: raises}))

    def step(model: keras.Model, batch: Any) -> Any:
        return CE(from_logits=True)(batch[1], model(batch[0]))

    with pytest.raises(Refused, match=f"has a {name} of its own"):
        run(tmp_path, own)
    assert run(tmp_path, own, loss=step).status == "done"
