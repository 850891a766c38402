"""Weights that rest, beside the same network whose layers Keras itself is told not to train."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from schedules import Refused
from tests.helpers.continuation import goes_on_exactly
from tests.helpers.runs import experiment, result, rows, trained
from trainer import Experiment, train
from trainer.config.plan import Plan
from trainer.engine.compile_cache import _cache_key
from trainer.engine.declared_network import declared_network
from trainer.engine.freezing import resting
from trainer.engine.network import Network
from trainer.engine.weight_names import WeightNames
from trainer.models.variable_paths import canonical, rename
from trainer.runs.checkpoints import Checkpoints
from trainer.runs.folder import Folder
from trainer.training.resume import Past
from trainer.training.setup import RunSetup, loaded

RANDOM = np.random.default_rng(11)
IMAGES = RANDOM.normal(size=(32, 6, 6, 1)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, size=32)
PLAIN = ("schedule=constant", "schedule.value=0.05", "run.compile=graph", "data.batch_size=8")
BODY = "optimizer.groups={body: {paths: ['base/*'], frozen_until: 4}}"
NORMED = (
    "model=layers",
    "model.layers=[{kind: Conv2D, filters: 2, kernel_size: 3, name: conv},"
    " {kind: BatchNormalization, name: norm}, {kind: Flatten},"
    " {kind: Dense, units: 10, name: end}]",
)


def nested(training: bool | None = None) -> keras.Model:
    """A network with a normalized one in it, `base`."""
    keras.utils.set_random_seed(2)
    x = inner = keras.Input((6, 6, 1))
    for i in range(2):
        x = layers.Conv2D(3, 3, use_bias=False, name=f"conv_{i}")(x)
        x = layers.BatchNormalization(name=f"norm_{i}")(x)
    base = keras.Model(inner, layers.Flatten()(x), name="base")
    outer = keras.Input((6, 6, 1))
    y = base(outer) if training is None else base(outer, training=training)
    return keras.Model(outer, layers.Dense(3, name="end")(y))


def learn(model: keras.Model, folder: Path, *overrides: str, length: int = 6) -> Any:
    asked = (*PLAIN, f"run.length={length}", *overrides)
    data = (IMAGES, LABELS)
    return train(Experiment.composed(*asked), folder, model=model, data=(data, data), quiet=True)


def values(model: keras.Model) -> dict[str, np.ndarray]:
    paths = canonical([weight.path for weight in model.weights])
    return {path: _read(weight) for path, weight in zip(paths, model.weights, strict=True)}


def _read(weight: Any) -> np.ndarray:
    return np.asarray(weight).copy()


def moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    return {path for path, value in before.items() if not np.array_equal(value, after[path])}


@pytest.mark.parametrize("globs", ["base/*", "base", "ba*e"])
def test_what_a_model_freezes_is_what_keras_does_not_train(globs: str, tmp_path: Path) -> None:
    model, by_hand = nested(), nested()
    by_hand.get_layer("base").trainable = False
    asked = ("optimizer=adam", "ema={momentum: 0.5}", "optimizer.global_clipnorm=0.1")
    outcome = learn(model, tmp_path / "frozen", f"model.frozen=['{globs}']", *asked)
    learn(by_hand, tmp_path / "by_hand", *asked)
    assert moved(values(nested()), values(model)) == {"end/kernel", "end/bias"}
    for path, value in values(by_hand).items():
        np.testing.assert_array_equal(values(model)[path], value, err_msg=path)
    saved, _ = Checkpoints(outcome.folder / "checkpoints", 1).newest()
    assert saved
    assert not [name for name in saved.arrays if "conv" in name and not name.startswith("model/")]


def test_a_model_is_given_back_as_trainable_as_it_was(tmp_path: Path) -> None:
    model = nested()
    model.get_layer("base").get_layer("conv_1").trainable = False
    flags = [(layer.name, layer.trainable) for layer in model._flatten_layers()]
    kinds = [weight.trainable for weight in model.weights]
    learn(model, tmp_path, "model.frozen=['base/conv/*']", BODY)
    assert [(layer.name, layer.trainable) for layer in model._flatten_layers()] == flags
    assert [weight.trainable for weight in model.weights] == kinds


@pytest.mark.parametrize("micro_batches", [1, 2])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_thaw_is_a_frozen_run_and_then_a_whole_one(
    optimizer: str, micro_batches: int, tmp_path: Path
) -> None:
    asked = (f"optimizer={optimizer}", f"run.micro_batches={micro_batches}")
    model = nested()
    learn(model, tmp_path / "one", BODY, *asked, "run.stop_after=4")
    at_the_thaw = values(model)
    assert moved(values(nested()), at_the_thaw) == {"end/kernel", "end/bias"}
    learn(model, tmp_path / "one", BODY, *asked)
    # At the last update of a thawed body, all of it has moved, the running means too.
    assert moved(at_the_thaw, values(model)) == set(at_the_thaw)


@pytest.mark.parametrize("mode", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
@pytest.mark.parametrize("stop", [3, 4, 5])
def test_a_run_stopped_around_the_thaw_ends_in_the_same_bits(
    stop: int, mode: str, tmp_path: Path
) -> None:
    asked = (
        *NORMED,
        "optimizer=adam",
        "run.length=8",
        "ema={momentum: 0.5}",
        "optimizer.groups={body: {paths: ['conv/*', 'norm/*'], frozen_until: 4}}",
        f"run.compile={mode}",
    )
    goes_on_exactly(tmp_path, *asked, stops=(stop,), at_the_end=["run.steps_per_call=3"])


def test_nothing_is_differentiated_for_what_rests() -> None:
    from tests.helpers.networks import Trained

    asked = (*NORMED, "optimizer.groups={body: {paths: ['conv/*', 'norm/*'], frozen_until: 4}}")
    run = Trained(*asked)

    def operations(frozen: tuple[str, ...]) -> set[str]:
        functions = run.program._program(frozen).graph.as_graph_def().library.function
        return {node.op for function in functions for node in function.node_def}

    assert "Conv2DBackpropFilter" in operations(())
    assert "Conv2DBackpropFilter" not in operations(("body",))
    assert {"FusedBatchNormGradV3", "SquaredDifference"} & operations(())
    assert not {"FusedBatchNormGradV3", "SquaredDifference"} & operations(("body",))


def test_a_call_that_spans_the_thaw_is_two() -> None:
    from tests.helpers.networks import Trained

    asked = ("optimizer.groups={late: {paths: ['logits/*'], frozen_until: 5}}",)
    at_once, apart = Trained(*asked), Trained(*asked)
    losses = at_once.update(0, 9)
    np.testing.assert_array_equal(losses, [*apart.update(0, 5), *apart.update(5, 4)])
    assert len(losses) == 9
    assert at_once.program.traces == apart.program.traces == 2
    for path, value in at_once.weights().items():
        np.testing.assert_array_equal(value, apart.weights()[path])


MODELS: dict[str, tuple[tuple[str, ...], str]] = {
    "mlp": (("model=mlp", "model.hidden=[4]"), "dense_1"),
    "cnn": (("model=cnn",), "conv_1"),
    "resnet": (("model=resnet", "model.depth=8", "model.width=4"), "stem"),
    "layers": (NORMED, "norm"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_model_takes_frozen_layers(kind: str, tmp_path: Path) -> None:
    asked, layer = MODELS[kind]
    layer = _first_layer(asked) if kind != "layers" else layer
    trained(tmp_path, *asked, f"model.frozen=['{layer}/*']", "run.length=2", "data.batch_size=16")
    saved, _ = Checkpoints(tmp_path / "checkpoints", 1).newest()
    assert saved
    network = _declared(*asked)
    start = {f"model/{weight.path}": _read(weight) for weight in network.model.weights}
    rests = {f"model/{weight.path}" for weight in WeightNames(network.model).under(layer)}
    still = {name for name, value in start.items() if np.array_equal(value, saved.arrays[name])}
    assert rests
    assert rests <= still
    assert still != set(start)


def _declared(*asked: str) -> Network:
    declared = experiment(*asked)
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(declared.run.seed)
    return declared_network(declared, list(declared.curves()), declared.data.load().train.labels)


def _first_layer(asked: tuple[str, ...]) -> str:
    names = WeightNames(_declared(*asked).model)
    return names.address(names.weights[0].path).rpartition("/")[0]


REFUSED: dict[str, tuple[str, str]] = {
    "means nothing": (
        "model.frozen=['bas/*']",
        "model.frozen = 'bas/*': means no weight and no layer\n  hint: the weights are "
        "base/conv/kernel, end/kernel, base/norm/gamma, base/norm/beta, base/norm/moving_mean, "
        "base/norm/moving_variance and 6 more",
    ),
    "means everything": (
        "model.frozen=['*']",
        "model.frozen = ['*']: leaves no weight to train, of 8\n  hint: leave out the last layer",
    ),
    "a group of nothing": (
        "optimizer.groups={body: {paths: ['bas/*'], frozen_until: 4}}",
        "optimizer.groups.body.paths = 'bas/*': means no weight\n  hint: the weights are "
        "base/conv/kernel, end/kernel, base/norm/gamma, base/norm/beta, base/conv_1/kernel, "
        "base/norm_1/gamma and 2 more",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_glob_for_nothing_or_for_all_is_refused_with_a_few_names(
    case: str, tmp_path: Path
) -> None:
    override, refusal = REFUSED[case]
    with pytest.raises(Refused) as refused:
        learn(nested(), tmp_path, override)
    assert str(refused.value) == refusal


def test_the_names_that_a_hint_lists_are_globs_that_work() -> None:
    model = nested()
    rename(model)
    names = WeightNames(model)
    for name in ("base/conv/kernel", "base/norm_1/gamma", "end/kernel"):
        assert len(names.under(name)) == 1


def test_weights_keep_the_names_that_checkpoints_know_them_by(tmp_path: Path) -> None:
    model = nested()
    learn(model, tmp_path, "model.frozen=['base/*']")
    saved, _ = Checkpoints(tmp_path / "checkpoints", 1).newest()
    assert saved
    assert {f"model/{weight.path}" for weight in model.weights} <= set(saved.arrays)
    assert "model/norm/moving_mean" in saved.arrays


def test_layers_rest_by_the_weights_that_train_or_else_by_all() -> None:
    bare = layers.BatchNormalization(center=False, scale=False, name="bare")
    model = keras.Sequential([keras.Input((3,)), bare, layers.Dense(2, name="end")])
    with resting(model, model.get_layer("end").weights):
        assert bare.trainable
    with resting(model, bare.weights):
        assert not bare.trainable
    assert bare.trainable


def test_penalties_of_what_rests_are_none(tmp_path: Path) -> None:
    def penalized() -> keras.Model:
        keras.utils.set_random_seed(4)
        first = layers.Dense(4, kernel_regularizer="l2", name="first")
        flat = layers.Flatten()
        return keras.Sequential([keras.Input((6, 6, 1)), flat, first, layers.Dense(3, name="end")])

    group = "optimizer.groups={body: {paths: ['first/*'], frozen_until: 3}}"
    learn(penalized(), tmp_path, group, "log.every=1", length=5)
    message = [row["penalties"] for row in rows(tmp_path) if "penalties" in row]
    assert [value == 0 for value in message] == [True, True, True, False, False]


def test_skipping_works_on_both_sides_of_a_thaw(tmp_path: Path) -> None:
    learn(nested(), tmp_path, "run.on_nonfinite=skip", BODY, "optimizer=adam")
    assert result(tmp_path)["skipped"] == 0


@pytest.mark.parametrize(
    ("until", "stretch", "frozen"),
    [("30%", range(6, 20), ()), ("70%", range(14), ("body",)), ("100%", range(20), ("body",))],
)
def test_the_stretch_of_most_updates_is_what_compiling_is_measured_by(
    until: str, stretch: range, frozen: tuple[str, ...], tmp_path: Path
) -> None:
    """Also where more updates are asked for than it has; and the choice is remembered for it."""
    group = f"optimizer.groups={{body: {{paths: ['dense_1/*'], frozen_until: {until}}}}}"
    plan = Plan.of(experiment("model=mlp", "model.hidden=[2]", group, "run.length=20"))
    assert plan.longest_stretch == stretch
    assert _cache_key(plan.experiment, "CPU", 1)["frozen"] == frozen
    asked: list[tuple[np.ndarray, int, int]] = []
    recorder = SimpleNamespace(update=lambda *call: asked.append(call))
    setup = RunSetup.of(
        plan, Folder(tmp_path), loaded(plan.experiment), "CPU", Past.none(plan, Folder(tmp_path))
    )
    column = setup.tape.names.index("groups.body.frozen")
    setup.ask(recorder, 50)
    [(rows, step, count)] = asked
    assert (len(rows), step, count) == (50, 0, 50)
    assert {*rows[:, column]} == {float(bool(frozen))}
    asked.clear()
    setup.ask(recorder, 0)  # compiles what the run begins with as well
    assert [rows[0, column] for rows, *_ in asked] == [float(bool(frozen)), 1.0]
    assert [count for *_, count in asked] == [0, 0]


def test_a_run_without_groups_that_thaw_is_one_stretch() -> None:
    plan = Plan.of(experiment("run.length=20"))
    assert plan.longest_stretch == range(20)
    assert "frozen" not in _cache_key(plan.experiment, "CPU", 1)
