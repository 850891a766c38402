"""Networks of KerasHub's presets, beside what KerasHub itself makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from schedules import Refused
from tests.helpers.continuation import goes_on_exactly
from tests.helpers.network import cut
from tests.helpers.networks import Trained
from tests.helpers.runs import experiment, rows
from trainer import predict
from trainer.data import Facts
from trainer.data.facts import Feature
from trainer.models import Model
from trainer.scheduled.dials import Dials

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
IMAGES = Facts.of(100, (8, 8, 1), classes=10)
TEXTS = Facts.of(100, (12,), classes=2)
SENTENCES = ["the cat is good", "the dog is bad", "good", "the cat is the dog", ""]
HUB = "model=keras_hub"


def written(folder: Path, config: dict[str, Any], task: Any = None, weights: bool = True) -> Path:
    """A folder with the files of a preset, as far as they are looked into before TensorFlow."""
    folder.mkdir()
    backbone = {
        "module": "keras_hub.src.models.some.some_backbone",
        "class_name": "SomeBackbone",
        "config": config,
        "registered_name": "keras_hub>SomeBackbone",
    }
    (folder / "config.json").write_text(json.dumps(backbone))
    if task is not None:
        (folder / "task.json").write_text(json.dumps(task))
    if weights:
        (folder / "model.weights.h5").touch()
    return folder


def refused(preset: object, facts: Facts = IMAGES, **declared: Any) -> str:
    with pytest.raises(Refused) as caught:
        Model.declared({"kind": "keras_hub", "preset": str(preset), **declared}).check(facts)
    return str(caught.value)


@pytest.mark.parametrize("name", ["bert_tiny_en_uncased", "hf://a/b", "kaggle://a/b/keras/c"])
def test_a_name_is_not_downloaded_and_the_hint_says_how_to_have_it(name: str) -> None:
    message = refused(name)
    assert f"model.preset = '{name}': is no folder, and nothing is downloaded" in message
    assert f"keras_hub.models.Backbone.from_preset('{name}').save_to_preset('DIR')" in message


def test_a_folder_that_is_no_preset_is_refused(tmp_path: Path) -> None:
    assert "save_to_preset('DIR'), or a task's, writes one" in refused("./none")
    assert "has no config.json in it" in refused(tmp_path)
    config = tmp_path / "config.json"
    config.write_text("{")
    assert "has a config.json that can't be read" in refused(tmp_path)
    config.write_text("[]")
    assert "has a config.json that is no preset's" in refused(tmp_path)
    config.write_text('{"model_type": "bert"}')
    assert f"Backbone.from_preset('{tmp_path}').save_to_preset('DIR') makes" in refused(tmp_path)
    config.unlink()
    os.mkfifo(config)
    assert "it is a pipe and no file" in refused(tmp_path)


@pytest.mark.parametrize("file", ["config", "task"])
@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        ({"class_name": "Own", "module": "os.path", "config": {}}, "has Own of os.path in its"),
        ({"class_name": "__lambda__", "config": {}}, "has code in its"),
    ],
)
def test_a_preset_that_would_run_code_is_refused(
    file: str, foreign: dict[str, Any], message: str, tmp_path: Path
) -> None:
    within = {"layer": foreign}
    task = {"class_name": "SomeTextClassifier", "config": within} if file == "task" else None
    folder = written(tmp_path / "preset", within if file == "config" else {}, task)
    assert f"{message} {file}.json" in refused(folder)


@pytest.mark.parametrize(
    ("config", "facts", "message"),
    [
        ({"image_shape": [8, None, 3]}, IMAGES, r"images of shape [8, None, 3], and the data has"),
        ({"image_shape": [8, 8, 1]}, TEXTS, "takes images [height, width, channels]"),
        ({"vocab_size": 9}, IMAGES, "takes token ids [time], and the data has inputs of"),
        ({"vocabulary_size": 9}, IMAGES, "takes token ids [time], and the data has inputs of"),
        ({"vocabulary_size": 9, "max_sequence_length": 7}, TEXTS, "7 tokens at most, and the data"),
    ],
)
def test_data_that_does_not_fit_is_refused(
    config: dict[str, Any], facts: Facts, message: str, tmp_path: Path
) -> None:
    assert message in refused(written(tmp_path / "preset", config), facts)


def test_weights_that_are_not_there_may_be_drawn(tmp_path: Path) -> None:
    folder = written(tmp_path / "preset", {"image_shape": [8, 8, 1]}, weights=False)
    assert "hint: model.load_weights=false draws them" in refused(folder)
    declared = {"kind": "keras_hub", "preset": str(folder), "load_weights": False}
    Model.declared(declared).check(IMAGES)


def test_the_extra_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.models.keras_hub.is_missing", lambda package: True)
    message = refused(written(tmp_path / "preset", {"image_shape": [8, 8, 1]}))
    assert "hint: pip install 'scheduled-training[keras_hub]'" in message


def texts(path: Path) -> Path:
    """Ids of tokens between those that begin and end a text, in half of which a word comes."""
    random = np.random.default_rng(0)
    ids = random.integers(5, 17, (256, 12)).clip(max=10)
    for row, length in zip(ids, random.integers(4, 13, len(ids)), strict=True):
        row[0], row[length - 1], row[length:] = 2, 3, 0
    label = (ids == 9).any(axis=1)
    np.savez(path, ids=ids, label=label)
    return path


def of_texts(folder: Path, preset: Path) -> tuple[str, ...]:
    path = texts(folder / "texts.npz")
    data = ("data=npz", f"data.path={path}", "data.inputs=ids", "data.labels=label")
    return (*data, "data.batch_size=32", HUB, f"model.preset={preset}", "optimizer=adam",
            "schedule.initial_value=0.01")  # fmt: skip


def built(preset: Path, facts: Facts, **declared: Any) -> keras.Model:
    model = Model.declared({"kind": "keras_hub", "preset": str(preset), **declared})
    return model.build(facts, Dials([]))


def by_path(model: keras.Model) -> dict[str, Any]:
    return {weight.path: np.asarray(weight) for weight in model.weights}


@pytest.mark.slow
@pytest.mark.parametrize("filler", [0, 1])
def test_a_classifier_of_as_many_classes_is_what_keras_hub_makes_of_it(
    filler: int, tmp_path: Path
) -> None:
    import keras_hub

    from tests.helpers.presets import VOCABULARY, bert, vit

    words = [word for word in VOCABULARY if word != "[PAD]"]
    words.insert(filler, "[PAD]")
    text = bert(tmp_path / "text", classes=2, vocabulary=words)
    theirs = keras_hub.models.TextClassifier.from_preset(str(text))
    given = theirs.preprocessor(SENTENCES)
    ours = built(text, TEXTS)
    np.testing.assert_allclose(ours(given["token_ids"]), theirs(given), rtol=1e-5, atol=1e-6)

    image = vit(tmp_path / "image", classes=10)
    images = np.random.default_rng(1).normal(size=(3, 8, 8, 1)).astype(np.float32)
    theirs = keras_hub.models.ImageClassifier.from_preset(str(image))
    np.testing.assert_allclose(built(image, IMAGES)(images), theirs(images), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_another_number_of_classes_makes_the_last_layer_anew_and_no_other(tmp_path: Path) -> None:
    from tests.helpers.presets import vit

    preset = vit(tmp_path / "preset", classes=3)
    same, other = (built(preset, Facts.of(9, (8, 8, 1), classes=n)) for n in (3, 10))
    assert list(by_path(same)) == list(by_path(other))
    moved = [
        path
        for path, value in by_path(other).items()
        if not np.array_equal(value, by_path(same)[path])
    ]
    assert moved == ["logits/kernel", "logits/bias"]
    fresh = by_path(built(preset, IMAGES, load_weights=False))
    kernel = "vit_patching_and_embedding/patch_embedding/kernel"
    assert not np.array_equal(fresh[kernel], by_path(other)[kernel])


@pytest.mark.slow
def test_rows_of_tokens_become_their_mean_without_what_fills_up(tmp_path: Path) -> None:
    import keras_hub

    from tests.helpers.presets import distil_bert

    preset = distil_bert(tmp_path / "preset")
    ids = np.array([[2, 5, 6, 3] + [0] * 8, [2, 5, 6, 7, 8, 9, 10, 5, 6, 7, 8, 3]], np.int32)
    theirs = keras_hub.models.Backbone.from_preset(str(preset))
    steps = np.asarray(theirs({"token_ids": ids, "padding_mask": ids > 0}))
    means = np.stack([steps[0, :4].mean(axis=0), steps[1].mean(axis=0)])
    model = built(preset, TEXTS)
    kernel, bias = (np.asarray(weight) for weight in model.get_layer("logits").weights)
    np.testing.assert_allclose(model(ids), means @ kernel + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("more", ["model.lora=2", "model.frozen=['backbone/*']"])
def test_only_what_is_asked_for_trains(more: str, tmp_path: Path) -> None:
    from tests.helpers.presets import bert

    run = Trained(*of_texts(tmp_path, bert(tmp_path / "preset")), more)
    before = by_path(run.network.model)
    run.update(0, 5)
    after = by_path(run.network.model)
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    states = {path for path in before if "seed_generator" in path}
    factors = {path for path in before if "lora_kernel" in path}
    assert len(factors) == (4 if "lora" in more else 0)
    attention = "transformer_layer/self_attention_layer"
    biases = {f"{attention}/{name}/bias" for name in ("query", "value")}
    theirs = factors | biases if "lora" in more else set()
    assert moved - states == theirs | {"logits/kernel", "logits/bias"}


@pytest.mark.slow
@pytest.mark.parametrize("lora", ["null", "2"])
def test_it_learns_without_the_network_and_goes_on_in_the_same_bits(
    lora: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.helpers.presets import bert

    asked = (
        *of_texts(tmp_path, bert(tmp_path / "preset", classes=2)), f"model.lora={lora}",
        "model.dropout={kind: linear, initial_value: 0.3, end_value: 0}", "run.length=120",
        "ema={momentum: 0.9}", "evaluate.every=40",
    )  # fmt: skip
    reached = cut(monkeypatch)
    whole = goes_on_exactly(tmp_path, *asked, stops=(50,))
    losses = [row["eval_loss"] for row in rows(whole) if "eval_loss" in row]
    assert lora != "null" or losses[-1] < 0.9 * losses[0]
    assert reached == []
    np.save(tmp_path / "ids.npy", np.load(tmp_path / "texts.npz")["ids"][:4])
    output = tmp_path / "predicted.npy"
    assert predict.main([str(whole), f"--inputs={tmp_path}/ids.npy", f"--output={output}"]) == 0
    assert np.load(output).shape == (4, 2)


@pytest.mark.slow
def test_what_can_not_be_built_says_what_can(tmp_path: Path) -> None:
    from tests.helpers.presets import vgg

    images = Facts.of(9, (32, 32, 1), classes=10)
    with pytest.raises(Refused, match=r"(?s)ends in Sequential.*task.backbone.save_to_preset"):
        built(vgg(tmp_path / "task", classes=3), images)
    backbone = vgg(tmp_path / "backbone")
    with pytest.raises(
        Refused, match=r"(?s)model.lora = 2: finds no projections.*hint: model.lora=nu"
    ):
        built(backbone, images, lora=2)
    assert built(backbone, images).output_shape == (None, 10)
    (backbone / "model.weights.h5").write_bytes(b"")
    with pytest.raises(Refused, match="can't be read: "):
        built(backbone, images)


@pytest.mark.slow
def test_what_the_hints_say_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a folder in the place of a name that would be downloaded."""
    import keras_hub

    from tests.helpers.presets import bert

    monkeypatch.chdir(tmp_path)
    bert(Path("preset"))
    [first, second] = [part for part in refused("name").split(" ") if part.startswith("keras_hub.")]
    for line in (first, second):
        exec(line.rstrip(",;").replace("'name'", "'preset'"), {"keras_hub": keras_hub})
    assert experiment(HUB, "model.preset=DIR").model.preset == "DIR"
    built(Path("DIR"), TEXTS)
    message = refused("DIR", Facts(9, Feature((1,), "string"), Feature((), "int32", 2)))
    line = message.partition("hint: ")[2].removesuffix(" makes ids of texts")
    ids = eval(line, {"keras_hub": keras_hub, "texts": SENTENCES})
    assert ids.shape == (5, 128)
    assert ids[0, :7].numpy().tolist() == [2, 5, 6, 8, 9, 3, 0]


def test_the_kind_alone_imports_nothing_of_keras(tmp_path: Path) -> None:
    folder = written(tmp_path / "preset", {"image_shape": [9, 9, 1]})
    code = f"""
import sys
from schedules import Refused
from trainer.data import Facts
from trainer.data.facts import Feature
from trainer.models import Model
try:
    Model.declared({{"kind": "keras_hub", "preset": {str(folder)!r}}}).check(Facts.of(9, (8, 8, 1)))
except Refused:
    print(sorted({{"tensorflow", "keras", "keras_hub"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
