"""Rules that train at another point than the one they are after: what is evaluated and kept."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from schedules import Refused
from tests.helpers import runs
from tests.helpers.networks import Trained
from tests.helpers.runs import experiment, result, trained
from trainer import Experiment, train
from trainer.commands.export import leave
from trainer.commands.predict import predict
from trainer.commands.restored import Restored
from trainer.optimizers import Optimizer
from trainer.runs.folder import Folder

AVERAGING = sorted(kind for kind, rule in Optimizer.kinds.items() if rule.averages)
FREE = "optimizer=schedule_free_adamw"
GROUPED = (
    "optimizer.groups={hidden: {paths: [dense_1/kernel], beta_1: 0.5}, biases: {paths: ['*/bias']}}"
)


def followed(run: Trained, updates: int) -> dict[str, np.ndarray]:
    """The mean of the iterates z after each update, in float64, by the paths of weights."""
    sums = {path: np.zeros(w.shape) for path, w in run.weights().items()}
    slots = run.network.groups.slots()
    for t in range(updates):
        run.update(t, 1)
        for path in sums:
            [z] = [v for name, v in slots.items() if name.endswith(f"iterates/{path}")]
            sums[path] += np.asarray(z, np.float64)
    return {path: total / updates for path, total in sums.items()}


@pytest.mark.parametrize("compiled", ["graph", "xla"])
@pytest.mark.parametrize("asked", [(), (GROUPED,)], ids=["alone", "in groups"])
def test_evaluations_are_by_the_mean_of_all_iterates(asked, compiled) -> None:
    run = Trained(FREE, "optimizer.weight_decay=0", *asked, compiled=compiled)
    mean = followed(run, 20)
    evaluated = run.program.evaluate()
    before = run.network.digest()
    averages = run.network.averages()
    for weight, average in zip(run.network.model.trainable_variables, averages, strict=True):
        np.testing.assert_allclose(average, mean[weight.path], rtol=1e-4, atol=1e-5)
        assert np.abs(average - weight).max() > 1e-4
    assert run.network.digest() == before != run.network.average_digest()
    at_training_point = Trained(FREE, "optimizer.weight_decay=0", *asked)
    at_training_point.network.restore(run.network.state())
    for weight in at_training_point.network.model.trainable_variables:
        weight.assign(mean[weight.path])
    at_training_point.network.settled = True
    assert at_training_point.program.evaluate() == pytest.approx(evaluated, rel=1e-4)


def test_every_rule_that_averages_is_known_to() -> None:
    assert AVERAGING == ["schedule_free_adamw"]


@pytest.mark.parametrize("kind", AVERAGING)
def test_a_running_mean_besides_is_refused(kind: str) -> None:
    with pytest.raises(Refused) as refused:
        experiment(f"optimizer={kind}", "ema={momentum: 0.9}")
    assert str(refused.value) == (
        "ema = {'momentum': 0.9}: cannot be combined with schedule_free_adamw, "
        "which keeps an average itself\n  hint: ema=null"
    )


@pytest.fixture(scope="module", params=AVERAGING)
def ended(request, tmp_path_factory) -> tuple[Path, tuple[str, ...]]:
    """A run that has ended with its best evaluation kept, and what was asked of it."""
    folder = tmp_path_factory.mktemp("averaging")
    asked = (f"optimizer={request.param}", "run.length=40", "evaluate.every=20", "export=keras")
    asked += ("checkpoint.keep_best.metric=eval_loss", "schedule.initial_value=0.1")
    assert trained(folder, *asked) == 0
    return folder, asked


@pytest.mark.parametrize("weights", ["final", "best", None])
def test_predictions_and_exports_are_what_was_evaluated(ended, weights) -> None:
    folder, asked = ended
    declared = experiment(*asked)
    this = Restored.of(declared, Folder(folder), weights)
    message = {row["step"]: row["eval_loss"] for row in runs.rows(folder) if "eval_loss" in row}
    predicted = predict(this, declared)
    assert predicted.metrics["eval_loss"] == pytest.approx(message[this.saved.step], rel=1e-6)
    settled = this.network().model.get_weights()
    for ours, theirs in zip(this.model().get_weights(), settled, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_file_that_a_run_leaves_holds_the_averages(ended) -> None:
    folder, asked = ended
    leave(experiment(*asked), Folder(folder))
    exported = keras.models.load_model(folder / "export" / "final.keras")
    assert json.loads((folder / "export" / "final.keras.json").read_text())["weights"] == "final"
    averages = Restored.of(experiment(*asked), Folder(folder), None).network().model
    for ours, theirs in zip(exported.get_weights(), averages.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ending = result(folder)
    assert ending["average_digest"] != ending["weights_digest"]


@pytest.mark.parametrize("kind", AVERAGING)
def test_the_model_of_an_outcome_is_what_was_evaluated_and_goes_on_from_where_it_trained(
    kind: str, tmp_path: Path
) -> None:
    def given() -> keras.Model:
        keras.utils.set_random_seed(3)
        layers = [keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(1)]
        return keras.Sequential(layers)

    random = np.random.default_rng(0)
    inputs = random.normal(size=(200, 4)).astype(np.float32)
    data = (inputs, inputs @ random.normal(size=(4, 1)).astype(np.float32)), (inputs, inputs[:, :1])
    asked = (
        f"optimizer={kind}",
        "run.compile=graph",
        "run.length=12",
        "schedule.initial_value=0.1",
    )
    whole = train(
        Experiment.composed(*asked), tmp_path / "whole", model=given(), data=data, quiet=True
    )
    loss = np.mean((np.asarray(whole.model(inputs)) - inputs[:, :1]) ** 2)
    assert whole.metrics["eval_loss"] == pytest.approx(loss, rel=1e-5)

    model = given()
    part = Experiment.composed(*asked, "run.stop_after=5")
    first = train(part, tmp_path / "halves", model=model, data=data, quiet=True)
    assert (first.status, first.model) == ("stopped", model)
    again = train(Experiment.composed(*asked), tmp_path / "halves", model=model, data=data)
    for name in ("weights_digest", "average_digest"):
        assert again.result[name] == whole.result[name]
    for ours, theirs in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
