"""Models: ours, Keras' and those that users bring."""

from __future__ import annotations

import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.continuation import goes_on_exactly
from tests.helpers.networks import Trained
from tests.helpers.runs import events, experiment, result, trained
from trainer.data import Examples, Facts, Split
from trainer.data.feeds.feed import Resident
from trainer.engine.network_ending import ending
from trainer.engine.program import Program
from trainer.models import Model
from trainer.models.layer_signatures import ALSO_REQUIRED, FAMILY_BY_LAYER, layer_signature
from trainer.models.transformer import positions
from trainer.scheduled.dials import Dials

DIGITS = Facts.of(1438, (8, 8, 1), classes=10)
RESNET = ("model=resnet", "model.depth=8", "model.width=4")
VIT = ("model=vit", "model.width=16", "model.depth=1", "model.heads=2")
PYTHON = 'model={{kind: python, call: "tests.models.test_models:{}"}}'
LINE = "{kind: linear, initial_value: 0.5, end_value: 0.0}"


def built(**declared: Any) -> keras.Model:
    return Model.declared(declared).build(DIGITS, Dials([]))


@pytest.mark.parametrize(("depth", "million"), [(20, 0.27), (32, 0.46), (56, 0.85)])
def test_resnets_have_the_parameters_that_the_paper_tells(depth: int, million: float) -> None:
    """Table 6 of He et al. 2015, for images of 32x32 in colour."""
    model = Model.declared({"kind": "resnet", "depth": depth}).build(
        Facts.of(1, (32, 32, 3), 10), Dials([])
    )
    weights = sum(int(np.prod(w.shape)) for w in model.trainable_variables)
    assert round(weights / 1e6, 2) == million
    layers = [
        layer
        for layer in model.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))
    ]
    assert len(layers) == depth


def test_the_way_around_a_block_that_halves_is_every_other_pixel_and_zeros() -> None:
    """With all convolutions at 0 a network is its shortcuts."""
    model = built(kind="resnet", depth=8, width=2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.name != "first_conv":
            layer.kernel.assign(tf.zeros_like(layer.kernel))
    images = tf.constant(np.random.default_rng(1).normal(size=(2, 8, 8, 1)), tf.float32)
    find = keras.Model(
        model.inputs, [model.get_layer(n).output for n in ("first_relu", "stage_3_1_relu")]
    )
    first, last = (np.asarray(x) for x in find(images))
    np.testing.assert_array_equal(last[..., 3:5], first[:, ::4, ::4, :])
    np.testing.assert_array_equal(last[..., [0, 1, 2, 5, 6, 7]], 0)


@pytest.mark.parametrize("asked", [RESNET, VIT], ids=["resnet", "vit"])
def test_it_learns(asked: tuple[str, ...], tmp_path: Path) -> None:
    rate = ("optimizer=adam", "schedule.initial_value=0.01")
    assert trained(tmp_path, *asked, *rate, "run.length=60", "evaluate.every=60") == 0
    assert result(tmp_path)["metrics"]["eval_accuracy"] > 0.4


@pytest.mark.parametrize("mode", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
@pytest.mark.parametrize("asked", [RESNET, (*VIT, f"model.dropout={LINE}")], ids=["resnet", "vit"])
def test_it_goes_on_in_the_same_bits_with_everything_on(
    asked: tuple[str, ...], mode: str, tmp_path: Path
) -> None:
    several = (
        *asked, "run.length=9", f"run.compile={mode}", "ema={momentum: 0.9}",
        "run.micro_batches=2", "run.on_nonfinite=skip", "evaluate.every=4",
    )  # fmt: skip
    goes_on_exactly(tmp_path, *several, stops=(5,))


@pytest.mark.parametrize("compiled", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_batch_normalization_follows_its_inputs_a_micro_batch_at_a_time(compiled: Any) -> None:
    """Its running mean after two micro-batches, from the means of their convolutions."""
    run = Trained(*RESNET, "run.micro_batches=2", "schedule=constant", "schedule.value=0",
                  compiled=compiled)  # fmt: skip
    first = run.network.model.get_layer("first_conv")
    inputs, _ = run.batch(0)
    means = [np.mean(first(part), axis=(0, 1, 2)) for part in np.split(inputs, 2)]
    run.update(0, 1)
    [moved] = [w for w in run.network.model.variables if w.path == "first_norm/moving_mean"]
    expected = 0.9 * (0.1 * means[0]) + 0.1 * means[1]
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-7)


def test_an_update_that_is_skipped_leaves_what_batch_normalization_keeps() -> None:
    run = Trained(*RESNET)
    inputs, (chosen,) = run.data.train.inputs.copy(), run.stream.indices(1, 1)
    inputs[chosen[0]] = np.inf
    data = Split(Examples(inputs, run.data.train.labels), run.data.test, run.data.preparation)
    program = Program(run.network, Resident(data, run.stream), "graph", 50, skips=True)
    table = np.stack([curve(np.arange(2)) for curve in run.curves.values()], axis=1)
    assert program.update(table[:1], 0).finite.all()
    before = {name: value.copy() for name, value in run.network.state().items()}
    assert not program.update(table[1:], 1).finite.any()
    after = run.network.state()
    assert [n for n in before if (before[n] != after[n]).any()] == ["global_step"]


def test_positions_are_different_everywhere_and_tell_across_from_down() -> None:
    where = positions(3, 5, 8)
    assert len(np.unique(where.round(5), axis=0)) == 15
    table = where.reshape(3, 5, 8)
    assert (table[0, :, :4] == table[2, :, :4]).all()
    assert (table[:, 0, 4:] == table[:, 4, 4:]).all()
    np.testing.assert_allclose(
        table[0, 3, :4], np.array([np.sin(3), np.sin(3e-4), np.cos(3), np.cos(3e-4)]), rtol=1e-6
    )


def test_attention_sees_where_a_patch_is() -> None:
    model = built(kind="vit", width=16, depth=1)
    left = np.zeros((1, 8, 8, 1), np.float32)
    left[:, :, :4] = 1
    assert not np.allclose(model(left), model(left[:, :, ::-1]), atol=1e-6)


LISTED = (
    "model=layers",
    "model.layers=[{kind: Conv2D, filters: 4, kernel_size: 3, activation: relu, name: first},"
    " {kind: BatchNormalization}, {kind: Flatten}, {kind: Dropout, rate: 0.2},"
    " {kind: Dense, units: 10, kernel_regularizer: l2}]",
)


def test_listed_layers_are_those_of_keras_and_train(tmp_path: Path) -> None:
    run = Trained(*LISTED)
    assert [w.path for w in run.network.model.trainable_variables] == [
        f"model/{path}"
        for path in (
            *("first/kernel", "first/bias"),
            *("batch_normalization_1/gamma", "batch_normalization_1/beta"),
            *("dense_1/kernel", "dense_1/bias"),
        )
    ]
    assert trained(tmp_path, *LISTED, "run.length=40") == 0
    assert result(tmp_path)["metrics"]["eval_accuracy"] > 0.3


def test_what_a_layer_says_its_weights_cost_is_made_small_too() -> None:
    """Keras' l2 is 0.01 times the sum of the squares."""
    plain, costly = (
        Trained(
            "model=layers", f"model.layers=[{{kind: Flatten}}, {{kind: Dense, units: 10{more}}}]"
        )
        for more in ("", ", kernel_regularizer: l2")
    )
    kernel = costly.weights()["model/dense_1/kernel"].copy()
    losses = [run.update(0, 1)[0] for run in (plain, costly)]
    assert losses[1] - losses[0] == pytest.approx(0.01 * np.sum(kernel**2), rel=1e-4)
    assert np.linalg.norm(costly.weights()["model/dense_1/kernel"]) < np.linalg.norm(
        plain.weights()["model/dense_1/kernel"]
    )


@pytest.mark.parametrize("name", sorted(FAMILY_BY_LAYER))
def test_the_arguments_of_a_layer_are_those_that_keras_takes(name: str) -> None:
    import inspect

    signature = layer_signature(name)
    assert signature
    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    assert set(signature.arguments) - {"name", "trainable"} <= set(theirs)
    needed = [
        p.name
        for p in theirs.values()
        if p.default is p.empty and p.name != "self" and p.kind == p.POSITIONAL_OR_KEYWORD
    ]
    assert list(signature.required) == [*needed, *ALSO_REQUIRED.get(name, ())]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("[]", "model.layers = \\[\\]: must have at least 1"),
        ("[{units: 3}]", "model.layers.0.kind: is required"),
        ("[{kind: Dens, units: 3}]", "did you mean Dense"),
        ("[{kind: Lambda, function: x}]", "kind = 'Lambda'.*it is code"),
        ("[{kind: Flatten}, {kind: Dense, unit: 3}]", "layers.1.unit = 3: is no argument of Dense"),
        ("[{kind: Dense}]", "model.layers.0.units: is required for Dense"),
        ("[{kind: Dense, units: 3, dtype: float16}]", "run.precision"),
        ("[{kind: Dense, units: 3, kernel_initializer: {class_name: Ones}}]", "kernel_initializer"),
        ("[{kind: Flatten, name: a}, {kind: Dense, units: 10, name: a}]", "2 layers called a"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_layers_is_refused_without_keras(layers: str, message: str) -> None:
    with pytest.raises(Refused, match=f"(?s){message}"):
        experiment("model=layers", f"model.layers={layers}")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((*RESNET, "model.depth=21"), "depth = 21: must be 6n .* hint: model.depth=20 or 26"),
        (
            (*VIT, "model.patch_size=3"),
            "sides of the data's images, 8 and 8\n  hint: known: 1, 2, 4, 8",
        ),
        ((*VIT, "model.width=18"), "width = 18: must be a multiple of 4"),
        ((*VIT, "model.heads=3"), "heads = 3: must divide width, 16"),
        (("model=applications", "model.name=MobileNetV4"), "did you mean MobileNetV2"),
        (("model=applications", "model.weights=imagenet"), "nothing is downloaded"),
        (("model=applications", "++model.kwargs={pooling: max}"), "kwargs.pooling = 'max'"),
        (("model=keras_file", "model.path=none.keras"), "model.path = 'none.keras': is not there"),
        ((PYTHON.format("right"),), "model.call = .*allow_code"),
    ],
)
def test_it_is_refused_without_tensorflow(asked: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refused, match=f"(?s){message}"):
        checked(*asked)


def checked(*asked: str) -> None:
    declared = experiment(*asked)
    declared.model.check(declared.data.facts())


@pytest.mark.parametrize("kind", ["cnn", "resnet", "vit", "applications"])
def test_rows_of_a_table_are_no_images(kind: str) -> None:
    name = {"name": "VGG16"} if kind == "applications" else {}
    with pytest.raises(Refused, match=r"takes images .* inputs of shape \[13\]\n  hint: model=mlp"):
        Model.declared({"kind": kind, **name}).check(Facts.of(100, (13,)))


def right(shape: Any, outputs: int, **settings: Any) -> keras.Model:
    layers = keras.layers
    flow = [layers.Flatten(), layers.Dense(8, "relu"), layers.Dropout(0.1), layers.Dropout(0.1)]
    return keras.Sequential([keras.Input(shape), *flow, layers.Dense(outputs)], **settings)


class Subclassed(keras.Model):  # type: ignore[misc]  # Keras is untyped
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(outputs)

    def call(self, inputs: Any) -> Any:
        return self.dense(self.flatten(inputs))


def subclassed(shape: Any, outputs: int) -> keras.Model:
    return Subclassed(outputs)


def wide(shape: Any, outputs: int) -> keras.Model:
    return right(shape, 12)


def loose(shape: Any, outputs: int) -> keras.Model:
    return Subclassed(12)


def other(shape: Any, outputs: int) -> keras.Model:
    return right((28, 28, 1), outputs)


def twice(shape: Any, outputs: int) -> keras.Model:
    inputs = keras.Input(shape)
    x = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, [keras.layers.Dense(outputs)(x), x])


def chosen(shape: Any, outputs: int) -> keras.Model:
    inputs = keras.Input(shape)
    x = keras.layers.Dense(outputs)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.ops.cast(x, "int32"))


def frozen(shape: Any, outputs: int) -> keras.Model:
    model = right(shape, outputs)
    model.trainable = False
    return model


def soft(shape: Any, outputs: int, end: str = "softmax") -> keras.Model:
    return keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(outputs, end)]
    )


def nothing(shape: Any, outputs: int) -> None:
    return None


def raises(shape: Any, outputs: int) -> keras.Model:
    raise KeyError("depth")


@pytest.mark.parametrize("name", ["right", "subclassed"])
def test_a_function_of_the_users_own_is_a_model(name: str, tmp_path: Path) -> None:
    asked = (PYTHON.format(name), "allow_code=[tests]", "run.length=12", "ema={momentum: 0.9}")
    goes_on_exactly(tmp_path, *asked, stops=(5,))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wide", r"gives outputs of shape \[12\], and 10 classes want outputs of shape \[10\]"),
        ("loose", r"gives outputs of shape \[12\], and 10 classes want"),
        ("other", r"takes inputs of shape \[28, 28, 1\], and the data has .* \[8, 8, 1\]"),
        ("twice", r"gives outputs of shape \[10\] and \[64\]"),
        ("chosen", "gives outputs of type int32, and they must be floats"),
        ("frozen", "has no weight that trains, of"),
        ("soft", "takes logits, and the network ends in a softmax.*loss.from_logits=false"),
        ("nothing", "returned NoneType, and must return a keras.Model"),
        ("raises", r"raised KeyError: 'depth'\n  hint: it was given shape \(8, 8, 1\) and 10"),
        ("riht", "did you mean right"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_both(
    name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=f"(?s){message}"):
        trained(tmp_path, PYTHON.format(name), "allow_code=true", "run.length=5")
    assert not (tmp_path / "metrics.jsonl").exists()


def test_two_weights_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.models.python.rename", lambda model: None)
    asked = PYTHON.format("doubled")
    with pytest.raises(Refused, match=r"has 2 variables called .*same/kernel"):
        Trained(asked, "allow_code=true")


class Double(keras.Model):  # type: ignore[misc]  # Keras is untyped
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.one, self.two = (keras.layers.Dense(outputs, name="same") for _ in range(2))

    def call(self, inputs: Any) -> Any:
        flat = self.flatten(inputs)
        return self.one(flat) + self.two(flat)


def doubled(shape: Any, outputs: int) -> keras.Model:
    return Double(outputs)


def test_a_softmax_is_no_trouble_where_the_loss_is_told_of_it() -> None:
    """The gradient of both is the same, and so is what they come to."""
    kwargs = ("++model.kwargs={end: linear}", "++model.kwargs={end: softmax}")
    runs = [
        Trained(PYTHON.format("soft"), kwargs[i], "allow_code=true", f"loss.from_logits={not i}")
        for i in (0, 1)
    ]
    losses = [run.update(0, 20) for run in runs]
    np.testing.assert_allclose(*losses, rtol=1e-3)
    found = [run.program.evaluate()["accuracy"] for run in runs]
    assert found[0] == pytest.approx(found[1], abs=0.01)
    for loss, end, message in (
        ("loss.from_logits=false", "linear", "its last layer is linear"),
        ("loss=cross_entropy", "sigmoid", "would have a softmax after it.*loss=binary_cross"),
        ("loss=binary_cross_entropy", "softmax", "would have a sigmoid after it.*loss=cross_ent"),
    ):
        with pytest.raises(Refused, match=f"(?s){message}"):
            Trained(
                PYTHON.format("soft"), f"++model.kwargs={{end: {end}}}", "allow_code=true", loss
            )


def test_the_end_of_a_model_in_a_model_is_seen() -> None:
    inner = soft((4,), 3)
    inputs = keras.Input((4,))
    assert ending(keras.Model(inputs, inner(inputs))) == "softmax"
    assert ending(keras.Sequential([keras.Input((4,)), keras.layers.Softmax()])) == "softmax"
    assert ending(Subclassed(3)) is None


def saving(model: keras.Model, path: Path) -> None:
    """Keras copies variables in a way that numpy 2 warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model.save_weights(path) if path.suffix == ".h5" else model.save(path)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "mine.keras"
    saving(right((8, 8, 1), 10), path)
    return path


def test_a_saved_network_goes_on_from_its_weights_or_is_drawn_anew(saved: Path) -> None:
    theirs = keras.models.load_model(saved).get_weights()[0]
    kept, fresh = (
        Trained("model=keras_file", f"model.path={saved}", f"model.fresh={word}").weights()
        for word in ("false", "true")
    )
    assert list(kept) == list(fresh)
    np.testing.assert_array_equal(kept["dense/kernel"], theirs)
    assert (fresh["dense/kernel"] != theirs).all()


def test_a_saved_network_goes_on_in_the_same_bits(saved: Path, tmp_path: Path) -> None:
    asked = ("model=keras_file", f"model.path={saved}", "run.length=8")
    trained(tmp_path / "whole", *asked)
    trained(tmp_path / "broken", *asked, "run.stop_after=3")
    trained(tmp_path / "broken", *asked)
    assert (
        result(tmp_path / "broken")["weights_digest"]
        == result(tmp_path / "whole")["weights_digest"]
    )
    assert events(tmp_path / "broken", "went on")


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("model.weights.h5").header_offset + 2000
    content[at] ^= 255
    path.write_bytes(content)


def without_weights(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", config)


def with_a_lambda(path: Path) -> None:
    lambdas = [keras.Input((8, 8, 1)), keras.layers.Lambda(lambda x: x)]
    saving(keras.Sequential(lambdas), path)


class Stranger(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    def call(self, inputs: Any) -> Any:
        return inputs


def of_a_stranger(path: Path) -> None:
    saving(keras.Sequential([keras.Input((8, 8, 1)), Stranger()]), path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shortened, "is no .keras file"),
        (flipped, "is damaged: model.weights.h5"),
        (without_weights, "has no model.weights.h5 in it"),
        (with_a_lambda, "has a Lambda layer, which is code"),
        (of_a_stranger, "has Stranger of .*tests.models.test_models, which is not Keras' own"),
        (lambda path: path.write_text("no"), "is no .keras file"),
        (lambda path: path.unlink(), "is not there"),
    ],
)
def test_a_file_that_holds_no_network_is_refused_without_keras(
    spoil: Any, message: str, saved: Path
) -> None:
    spoil(saved)
    declared = Model.declared({"kind": "keras_file", "path": str(saved)})
    with pytest.raises(Refused, match=f"(?s)model.path = .*{message}"):
        declared.check(DIGITS)


APPLICATION = ("model=applications", "++model.kwargs={alpha: 0.35}", "model.name=MobileNetV2")


def test_an_application_is_built_with_weights_from_a_file(tmp_path: Path) -> None:
    facts = {"kind": "applications", "name": "MobileNetV2", "kwargs": {"alpha": 0.35}}
    model = Model.declared(facts).build(Facts.of(1, (32, 32, 3), 4), Dials([]))
    assert model.output_shape == (None, 4)
    [base] = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    path = tmp_path / "mine.weights.h5"
    saving(base, path)
    declared = Model.declared({**facts, "weights": str(path)})
    declared.check(Facts.of(1, (32, 32, 3), classes=4))
    again = declared.build(Facts.of(1, (32, 32, 3), 4), Dials([]))
    paths = [w.path for w in model.variables]
    assert paths == [w.path for w in again.variables]
    for one, other in zip(model.variables[:-2], again.variables[:-2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    path.write_text("no")
    with pytest.raises(Refused, match="is no HDF5 file"):
        Model.declared({"kind": "applications", "name": "VGG16", "weights": str(path)}).check(
            DIGITS
        )


def test_an_image_too_small_for_an_application_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"does not fit inputs of shape \[8, 8, 1\]"):
        trained(tmp_path, *APPLICATION)


def test_none_of_it_imports_tensorflow_before_it_is_refused() -> None:
    """In a process of its own, for each kind with settings of its own to check."""
    code = """
import sys
from tests.helpers.runs import experiment, plan
for asked in "model=layers", "model=vit", "model=resnet", "model=applications", "metrics.f1={}":
    declared = experiment(asked)
    declared.model.check(declared.data.facts())
    plan(asked).check_metrics()
print([name for name in ("tensorflow", "keras") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
