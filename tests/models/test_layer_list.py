"""Lists of layers: every kind that may stand in one, layers in layers, labels with places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.continuation import goes_on_exactly
from tests.helpers.runs import experiment, result
from trainer.data import Facts
from trainer.models import Model
from trainer.models.layer_signatures import FAMILY_BY_LAYER, NESTED
from trainer.scheduled.dials import Dials

SHAPES = {1: (8, 4), 2: (8, 8, 3), 3: (4, 4, 4, 2)}
"""A shape of inputs for layers that go over so many axes."""
UNITS = ("Dense", "GRU", "LSTM", "SimpleRNN")
RANGE = {"value_range": [0, 1]}
ARGUMENTS: dict[str, dict[str, Any]] = {
    **{name: {"units": 3} for name in UNITS},
    "Activation": {"activation": "relu"},
    "AugMix": RANGE,
    "AutoContrast": RANGE,
    "Bidirectional": {"layer": {"kind": "LSTM", "units": 3}},
    "CategoryEncoding": {"num_tokens": 9},
    "CenterCrop": {"height": 4, "width": 4},
    "Discretization": {"bin_boundaries": [0.2, 0.6]},
    "EinsumDense": {"equation": "abc,cd->abd", "output_shape": [8, 5]},
    "Embedding": {"input_dim": 9, "output_dim": 3},
    "MelSpectrogram": {"fft_length": 64, "sampling_rate": 800},
    "Normalization": {"mean": [0.5, 1, 2, 3], "variance": [2, 2, 2, 2.0]},
    "Permute": {"dims": [2, 1]},
    "RandAugment": RANGE,
    "RandomBrightness": {"factor": 0.2},
    "RandomColorDegeneration": {"factor": 0.2},
    "RandomColorJitter": {**RANGE, "brightness_factor": 0.2},
    "RandomContrast": {"factor": 0.2},
    "RandomCrop": {"height": 4, "width": 4},
    "RandomElasticTransform": {"factor": 1.0},
    "RandomGaussianBlur": {"factor": 1.0},
    "RandomHue": {"factor": 0.2, **RANGE},
    "RandomInvert": RANGE,
    "RandomPosterization": {"factor": 4, **RANGE},
    "RandomRotation": {"factor": [-0.1, 0.2]},
    "RandomSaturation": {"factor": 0.2},
    "RandomSharpness": {"factor": 0.2},
    "RandomShear": {"x_factor": 0.2},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
    "RepeatVector": {"n": 2},
    "Rescaling": {"scale": 2},
    "Reshape": {"target_shape": [4, 8]},
    "Resizing": {"height": 4, "width": 4},
    "ReversibleEmbedding": {"input_dim": 9, "output_dim": 3},
    "Solarization": RANGE,
    "SpectralNormalization": {"layer": {"kind": "Dense", "units": 3}},
    "TimeDistributed": {"layer": {"kind": "Dense", "units": 3}},
}  # fmt: skip
"""What a layer can't be without."""
INPUTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("CategoryEncoding", "Embedding", "RepeatVector", "ReversibleEmbedding"), (6,)),
    "ConvLSTM1D": (3, 8, 2),
    "ConvLSTM2D": (3, 6, 6, 2),
    "ConvLSTM3D": (2, 4, 4, 4, 1),
    "GroupNormalization": (8, 8, 32),
    "MelSpectrogram": (400,),
}


def arguments(kind: str) -> dict[str, Any]:
    if kind in ARGUMENTS:
        return ARGUMENTS[kind]
    if "Conv" in kind:
        filters = {} if "Depthwise" in kind else {"filters": 2}
        return {**filters, "kernel_size": 2}
    if "Adaptive" in kind:
        return {"output_size": 2}
    if kind.startswith("Average"):
        return {"pool_size": 2}
    return {"rate": 0.5} if "Dropout" in kind else {"stddev": 0.5} if "Noise" in kind else {}


def shape(kind: str) -> tuple[int, ...]:
    if kind in INPUTS:
        return INPUTS[kind]
    if "image" in FAMILY_BY_LAYER[kind]:
        return SHAPES[2]
    axes = [n for n in SHAPES if f"{n}D" in kind]
    return SHAPES[axes[0] if axes else 1]


@pytest.mark.parametrize("kind", sorted(FAMILY_BY_LAYER))
def test_every_layer_that_may_be_listed_is_built_and_computes(kind: str) -> None:
    listed = {"kind": kind, **arguments(kind)}
    declared = Model.declared({"kind": "layers", "layers": [listed]})
    model = declared.build(Facts.of(8, shape(kind), classes=2), Dials([]))
    [layer] = model.layers
    assert type(layer) is getattr(keras.layers, kind)
    inputs = np.random.default_rng(0).integers(0, 2, (2, *shape(kind))).astype(np.float32)
    outputs = tf.function(lambda x: model(x, training=True))(inputs)
    assert tuple(outputs.shape) == (2, *model.output_shape[1:])
    assert np.isfinite(outputs).all()


def test_a_layer_with_layers_in_it_is_that_of_keras() -> None:
    layers = [
        {"kind": "TimeDistributed", "layer": {"kind": "Dense", "units": 4}},
        {
            "kind": "Bidirectional",
            "layer": {"kind": "GRU", "units": 3},
            "backward_layer": {"kind": "GRU", "units": 3, "go_backwards": True},
            "merge_mode": "sum",
        },
        {
            "kind": "SpectralNormalization",
            "name": "bound",
            "layer": {"kind": "Dense", "units": 2, "name": "inner"},
        },
    ]
    facts = Facts.of(8, (6, 3), classes=2)
    paths = []
    for _ in range(2):  # Keras counts on in between
        model = Model.declared({"kind": "layers", "layers": layers}).build(facts, Dials([]))
        paths.append([w.path for w in model.trainable_variables])
    assert paths[0] == paths[1]
    assert paths[0][0] == "model/time_distributed_1/dense/kernel"
    assert {path.split("/")[2] for path in paths[0] if "bidirectional" in path} == {
        "forward_gru",
        "backward_gru",
    }
    gru = keras.layers.Bidirectional(
        keras.layers.GRU(3),
        backward_layer=keras.layers.GRU(3, go_backwards=True),
        merge_mode="sum",
    )
    x = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
    gru(x)
    gru.set_weights(model.layers[1].get_weights())
    np.testing.assert_array_equal(gru(x), model.layers[1](x))
    assert [tuple(w.shape) for w in model.get_layer("bound").trainable_variables] == [(3, 2), (2,)]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("[{kind: Bidirectional}]", r"layers.0.layer: is required for Bidirectional"),
        ("[{kind: Bidirectional, layer: LSTM}]", "layers.0.layer = 'LSTM': must be a layer with"),
        ("[{kind: TimeDistributed, layer: Dense}]", "hint: layer: {kind: Dense, …}"),
        (
            "[{kind: Bidirectional, layer: {kind: Dense, units: 3}}]",
            "layers.0.layer.kind = 'Dense': is no recurrent layer.*known: GRU, LSTM",
        ),
        (
            "[{kind: Bidirectional, layer: {kind: LSTM, unit: 3}}]",
            "layers.0.layer.unit = 3: is no argument of LSTM.*did you mean units",
        ),
        (
            "[{kind: TimeDistributed, layer: {kind: TimeDistributed, layer: {kind: Lambda}}}]",
            "layers.0.layer.layer.kind = 'Lambda': is no layer that may be listed.*it is code",
        ),
        ("[{kind: MultiHeadAttention}]", "it takes several inputs.*model=python.*model=vit"),
        ("[{kind: Normalization}]", "layers.0.mean: is required.*data.normalise=standardise"),
        ("[{kind: [Dense]}]", "layers.0.kind = .*is no layer that may be listed"),
    ],
)  # fmt: skip
def test_what_is_no_layer_within_a_layer_is_refused_at_its_own_path(
    layers: str, message: str
) -> None:
    with pytest.raises(Refused, match=f"(?s){message}"):
        experiment("model=layers", f"model.layers={layers}")


def test_what_keras_refuses_is_told_at_the_layer() -> None:
    backward = {"kind": "LSTM", "units": 3}
    listed = {"kind": "Bidirectional", "layer": backward, "backward_layer": backward}
    declared = Model.declared({"kind": "layers", "layers": [listed]})
    with pytest.raises(Refused, match=r"model.layers.0 = 'Bidirectional': can't be made: Forward"):
        declared.build(Facts.of(8, (6, 3), classes=2), Dials([]))


def test_arguments_that_are_layers_are_those_of_keras() -> None:
    """Keras names an argument that is a layer `layer`, or `…_layer`."""
    import inspect

    for kind in FAMILY_BY_LAYER:
        parameters = inspect.signature(getattr(keras.layers, kind).__init__).parameters
        assert tuple(p for p in parameters if p.endswith("layer")) == NESTED.get(kind, ())


def test_a_list_learns_a_class_at_every_place_and_goes_on_in_the_same_bits(tmp_path: Path) -> None:
    """Of a row of numbers each is told whether the sum so far is above 0."""
    random = np.random.default_rng(0)
    steps = random.choice([-1.0, 1.0], (600, 7, 1)).astype(np.float32)
    np.savez(tmp_path / "sums.npz", x=steps, y=(steps.cumsum(axis=1)[..., 0] > 0).astype(int))
    asked = (
        "data=npz", f"data.path={tmp_path / 'sums.npz'}", "data.inputs=x", "data.labels=y",
        "data.task=classification", "data.classes=2", "model=layers",
        "model.layers=[{kind: Bidirectional, layer: {kind: GRU, units: 8, return_sequences: true}},"
        " {kind: GaussianNoise, stddev: 0.1}, {kind: TimeDistributed, layer: {kind: Dense,"
        " units: 2}}]",
        "optimizer=adam", "schedule.initial_value=0.03", "run.length=60", "evaluate.every=60",
    )  # fmt: skip
    whole = goes_on_exactly(tmp_path, *asked, stops=(20,))
    assert result(whole)["metrics"]["eval_accuracy"] > 0.95
