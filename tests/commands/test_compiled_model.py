"""What a given model was told for `fit` is honoured or refused, never ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from schedules import Refused
from trainer import Experiment, train

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
CLASSES = np.arange(60) % 3
CE = keras.losses.SparseCategoricalCrossentropy


def network(kind: type[keras.Model] = keras.Sequential) -> keras.Model:
    return kind([keras.Input((3,)), keras.layers.Dense(3)])


def run(folder: Path, model: keras.Model, *asked: str, labels: Any = CLASSES, **given: Any) -> Any:
    experiment = Experiment.composed(
        "run.length=2", "run.compile=graph", "data.batch_size=16", *asked
    )
    return train(experiment, folder, model=model, data=(X, labels), quiet=True, **given)


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
    with pytest.raises(Refused) as caught:
        run(tmp_path / "first", model, labels=X)
    [problem] = caught.value.problems
    assert problem.path == path
    assert mend in problem.hint
    assert run(tmp_path / "second", model, *problem.hint.split(), labels=X).status == "done"


def test_logits_must_be_meant_alike(tmp_path: Path) -> None:
    model = network()
    model.compile(loss=CE(from_logits=False))
    with pytest.raises(Refused, match=r"loss\.from_logits=false"):
        run(tmp_path, model)


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
