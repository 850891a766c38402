"""Files of every model option, and of given models, read back as others would read them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers

from schedules import Refused
from tests.helpers.runs import experiment
from trainer import export, predict, train
from trainer.commands.outcome import Outcome
from trainer.models import Model

RANDOM = np.random.default_rng(2)
N = 24
NUMBERS = RANDOM.normal(3, 2, size=(N, 4)).astype(np.float32)
IMAGES = RANDOM.normal(size=(N, 32, 32, 3)).astype(np.float32)
SERIES = RANDOM.normal(size=(N, 5, 3)).astype(np.float32)
TOKENS = RANDOM.integers(0, 9, size=(N, 5))
IDS = RANDOM.integers(0, 7, size=N)
SORTS = np.arange(N) % 3
PRICES = RANDOM.normal(size=N).astype(np.float32)
TEXTS = np.array(["a good film", "bad", "a bad film", ""] * 6, object)[:, None]
TIMES = RANDOM.integers(0, 3, size=(N, 5))
TRAINED = ("run.length=1", "run.compile=graph", "optimizer=sgd", "schedule=constant",
           "schedule.value=0.1")  # fmt: skip


class Kind(NamedTuple):
    """What is trained, and exported."""

    inputs: Any
    labels: Any = SORTS
    asked: tuple[str, ...] = ()
    given: Callable[[], keras.Model] | None = None
    texts: bool = False
    slow: bool = True


def functional(inputs: Any, outputs: Any) -> keras.Model:
    return keras.Model(inputs, outputs)


def two_inputs(as_dict: bool) -> keras.Model:
    age, job = keras.Input((4,), name="age"), keras.Input((), dtype="int32", name="job")
    both = layers.Concatenate()([layers.Embedding(7, 3)(job), layers.Dense(3)(age)])
    price, sort = layers.Dense(1, name="price")(both), layers.Dense(3, name="sort")(both)
    if as_dict:
        return keras.Model({"job": job, "age": age}, {"sort": sort, "price": price})
    return keras.Model([job, age], [sort, price])


def random_layers() -> keras.Model:
    x = keras.Input((8, 8, 3))
    moved = layers.RandomRotation(0.2)(layers.RandomFlip(seed=1)(x))
    dropped = layers.Dropout(0.5)(layers.GaussianNoise(0.5)(layers.Flatten()(moved)))
    return keras.Model(x, layers.Dense(3)(layers.BatchNormalization()(dropped)))


def masked() -> keras.Model:
    x = keras.Input((5,), dtype="int32")
    y = layers.Embedding(9, 4, mask_zero=True)(x)
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(y)
    return keras.Model(x, layers.Dense(3)(layers.GRU(4, return_sequences=True)(y)))


def of_texts() -> keras.Model:
    x = keras.Input((1,), dtype="string")
    words = layers.TextVectorization(vocabulary=["good", "bad"], output_sequence_length=3)
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.Embedding(4, 2)(words(x)))))


class Subclassed(keras.Model):
    """It does not know its inputs before it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.flip, self.dense = layers.RandomFlip(seed=1), layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(layers.Flatten()(self.flip(x)))


def subclassed() -> keras.Model:
    model = Subclassed()
    model(IMAGES[:1, :8, :8])
    return model


def fixed() -> keras.Model:
    x = keras.Input(batch_shape=(8, 4))
    return keras.Model(x, layers.Dense(3)(keras.ops.reshape(x, (8, 4))))


LAYERS = (
    "model.layers=[{kind: Conv1D, filters: 4, kernel_size: 3}, {kind: Flatten}, "
    "{kind: Dense, units: 3}]"
)
TREES = ({"age": NUMBERS, "job": IDS}, {"sort": SORTS, "price": PRICES})
# Keras asks numpy for a copy in a way that numpy has told it to leave.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
KINDS: Mapping[str, Kind] = {
    "mlp": Kind(NUMBERS, asked=("model=mlp", "model.hidden=[4]"), slow=False),
    "cnn": Kind(IMAGES, asked=("model=cnn", "model.filters=[4]")),
    "resnet": Kind(IMAGES, asked=("model=resnet", "model.depth=8", "model.width=4")),
    "vit": Kind(IMAGES, asked=("model=vit", "model.patch_size=8", "model.depth=1")),
    "unet": Kind(IMAGES[..., :1], IMAGES[..., 1:], ("model=unet", "model.width=4")),
    "rnn": Kind(SERIES, asked=("model=rnn", "model.units=4", "model.bidirectional=true",
                               "model.mask=0")),
    "text": Kind(TOKENS, asked=("model=text", "model.tokens=9", "model.width=8", "model.depth=1")),
    "tabular": Kind(NUMBERS, asked=("model=tabular", "model.hidden=[4]")),
    "layers": Kind(SERIES, asked=("model=layers", LAYERS)),
    "applications": Kind(IMAGES, asked=("model=applications", "model.kwargs={alpha: 0.35}")),
    "keras_hub": Kind(IMAGES, asked=("model=keras_hub", "model.lora=2")),
    "keras_file": Kind(NUMBERS, asked=("model=keras_file", "model.path=mine.keras")),
    "python": Kind(NUMBERS, asked=("model=python", "model.call=trainer.examples:perceptron")),
    "trees": Kind(*TREES, given=lambda: two_inputs(True), slow=False),
    "lists": Kind([IDS, NUMBERS], [SORTS, PRICES], given=lambda: two_inputs(False)),
    "ids by name": Kind({"job": IDS, "age": NUMBERS}, TREES[1], given=lambda: two_inputs(False)),
    "random layers": Kind(IMAGES[:, :8, :8], given=random_layers),
    "masks": Kind(TOKENS, TIMES, given=masked),
    "texts": Kind(TEXTS, given=of_texts, texts=True, slow=False),
    "subclassed": Kind(IMAGES[:, :8, :8], given=subclassed),
    "fixed batch": Kind(NUMBERS, given=fixed),
}  # fmt: skip
UNREADABLE = {("subclassed", "keras"), ("texts", "onnx")}
"""Classes that Keras' safe mode does not know, and text in a format of numbers."""


def test_every_kind_of_model_is_among_them() -> None:
    ours = {kind for kind, cls in Model.kinds.items() if cls.__module__.startswith("trainer.")}
    assert ours - {"given"} <= KINDS.keys()


def trained(name: str, folder: Path, patch: pytest.MonkeyPatch) -> Outcome:
    kind = KINDS[name]
    patch.chdir(folder)
    if name == "keras_file":
        keras.Sequential([keras.Input((4,)), layers.Dense(3)]).save("mine.keras")
    if name == "keras_hub":
        from tests.helpers.presets import vit

        vit(Path("preset"), side=32, channels=3)
    normalise = "none" if kind.texts or name in ("text", "masks", "lists") else "standardise"
    normalise = "none" if isinstance(kind.inputs, dict) else normalise
    task = "classification" if name == "masks" else "auto"
    data = f"data={{kind: given, batch_size: 8, normalise: {normalise}, task: {task}}}"
    declared = experiment(*TRAINED, *(kind.asked or ("model=mlp",)), data)
    pair = (kind.inputs, kind.labels)
    model = kind.given and kind.given()
    return train(declared, folder / "run", model=model, data=(pair, pair), quiet=True)


def named(values: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(values, dict):
        return values
    return dict(zip(names, values if isinstance(values, (list, tuple)) else [values], strict=True))


def fed(kind: Kind, types: Mapping[str, Any]) -> dict[str, Any]:
    names = ("job", "age") if isinstance(kind.inputs, list) else ("inputs",)
    count = 8 if kind is KINDS["fixed batch"] else N
    return {name: x[:count].astype(types[name]) for name, x in named(kind.inputs, names).items()}


def by_keras(file: Path, kind: Kind) -> Any:
    model = keras.models.load_model(file)
    given = {name: tf.constant(x) for name, x in fed(kind, dict.fromkeys(
        named(kind.inputs, ("job", "age") if isinstance(kind.inputs, list) else ("inputs",)),
        object if kind.texts else np.float32)).items()}  # fmt: skip
    if "inputs" in given:
        return model(given["inputs"], training=False)
    taken = given if isinstance(model.input, dict) else [given["job"], given["age"]]
    return model(taken, training=False)


def by_tensorflow(file: Path, kind: Kind) -> Any:
    loaded = tf.saved_model.load(str(file))
    serve = loaded.signatures["serving_default"]
    specs = serve.structured_input_signature[1]
    types = {name: spec.dtype.as_numpy_dtype for name, spec in specs.items()}
    outputs = serve(**{name: tf.constant(x) for name, x in fed(kind, types).items()})
    definition = (file / "saved_model.pb").read_bytes()
    assert b"batch" in definition or kind is KINDS["fixed batch"]
    return outputs


def by_onnx(file: Path, kind: Kind) -> Any:
    graph = onnx.load(file).graph
    for one in (*graph.input, *graph.output):
        first = one.type.tensor_type.shape.dim[0]
        assert first.dim_param == "batch" or first.dim_value == 8
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    known = {"tensor(float)": np.float32, "tensor(int32)": np.int32}
    types = {one.name: known[one.type] for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, fed(kind, types)), strict=True))


READERS = {"keras": by_keras, "saved_model": by_tensorflow, "onnx": by_onnx}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if one.slow else []) for n, one in KINDS.items()],
)
def test_a_file_says_what_the_run_predicts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, outcome = KINDS[name], trained(name, tmp_path, monkeypatch)
    raw = kind.inputs
    raw = {str(i): x for i, x in enumerate(raw)} if isinstance(raw, list) else raw
    expected = outcome.predict(raw)
    for file_kind, read in READERS.items():
        if (name, file_kind) in UNREADABLE:
            with pytest.raises((Refused, export.ExportError)):
                outcome.export(file_kind)
            continue
        given = read(outcome.export(file_kind), kind)
        given = named(given, ("sort", "price") if isinstance(expected, dict) else ("outputs",))
        places = {"0": "sort", "1": "price"}
        several = isinstance(expected, dict)
        for label, value in expected.items() if several else [("outputs", expected)]:
            logits = np.asarray(given[places.get(label, label)])
            is_class = value.shape[-1] == 3 and name != "unet"
            found = tf.nn.softmax(logits) if is_class else logits
            np.testing.assert_allclose(found, value[: len(logits)], atol=2e-5, rtol=2e-4)
    if kind.given is not None and name != "subclassed":  # a process without the program
        monkeypatch.setattr("trainer.models.in_memory.GivenModel.is_here", False)
        named_raw = named(raw, ("inputs",))
        np.savez("raw.npz", **{n: x.astype(str) if kind.texts else x for n, x in named_raw.items()})
        assert predict.main(["run", "--inputs=raw.npz", "--output=p.npz"]) == 0, capsys.readouterr()
        with np.load("p.npz") as found:
            for label, value in named(expected, ("outputs",)).items():
                np.testing.assert_allclose(found[label], value, atol=2e-5, rtol=2e-4)


HEADER = ("age", "a b/c", "job", "note", "sort", "price")


def table(path: str, rows: int = 40) -> list[dict[str, Any]]:
    message = [
        {
            "age": 20.5 + i % 30, "a b/c": "" if i % 7 == 0 else i / 8,
            "job": ["nurse", "smith", "king"][i % 3], "note": ["The cat!", "a dog", ""][i % 3],
            "sort": ["x", "y"][i % 2], "price": i / 40 + 0.25,
        }
        for i in range(rows)
    ]  # fmt: skip
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, HEADER).writeheader()
        csv.DictWriter(file, HEADER).writerows(message)
    return message


COLUMNS = ("data=csv", "data.path=a.csv", "data.columns.job={kind: category, encode: one_hot}",
           "data.columns.note={kind: text, length: 3}", "data.columns.price={kind: ignore}",
           "data.normalise=standardise", "data.target=sort", "data.batch_size=8",
           "model=tabular", "model.hidden=[4]")  # fmt: skip


@pytest.mark.parametrize("kind", ["keras", "saved_model"])
def test_a_file_of_a_table_takes_its_columns_as_they_are(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = table("a.csv")
    columns = {"columns": {"a b/c": {"kind": "number", "missing": "median"}}}
    declared = experiment(*TRAINED, *COLUMNS)
    data = declared.data.model_copy(
        update={"columns": {**declared.data.columns, **type(declared.data).declared(
            {"path": "a.csv", "target": "sort", **columns}).columns}})  # fmt: skip
    outcome = train(declared.with_parts({"data": data}), "run", quiet=True)
    raw = {name: [row[name] for row in rows] for name in ("age", "a b/c", "job", "note")}
    raw["a b/c"] = [np.nan if x == "" else x for x in raw["a b/c"]]
    expected = outcome.predict({name: np.array(x) for name, x in raw.items()})
    file = outcome.export(kind)
    given: dict[str, Any] = {name.replace(" ", "_").replace("/", "_"): tf.constant(
        [[one] for one in x], tf.string if isinstance(x[0], str) else tf.float32)
        for name, x in raw.items()}  # fmt: skip
    if kind == "keras":
        logits = keras.models.load_model(file)(given)
    else:
        loaded = tf.saved_model.load(str(file))
        logits = loaded.signatures["serving_default"](**given)["outputs"]
    np.testing.assert_allclose(tf.nn.softmax(logits), expected, atol=1e-5)
    message = json.loads(file.with_name(f"{file.name}.json").read_text())
    assert message["inputs"]["a_b_c"] == {"shape": [None, 1], "dtype": "float32", "column": "a b/c"}
    with pytest.raises(Refused, match=r"export\.inputs = 'raw'.*\n.*export\.inputs=prepared"):
        outcome.export("onnx")
    assert outcome.export("onnx", inputs="prepared").exists()


def test_what_layers_can_not_prepare_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["day,sort", *(f"2024-02-{1 + i % 9:02d},{'xy'[i % 2]}" for i in range(40))]
    Path("d.csv").write_text("\n".join(lines) + "\n")
    asked = ("data=csv", "data.path=d.csv", "data.target=sort", "data.columns.day={kind: date}",
             "data.batch_size=8", "model=tabular", "export=keras")  # fmt: skip
    with pytest.raises(Refused, match="can't have the dates of day prepared in the model"):
        train(experiment(*TRAINED, *asked), "run")
    assert not Path("run").exists()
    texts = ("data={kind: given, batch_size: 8}", "export=onnx")
    with pytest.raises(Refused, match="takes numbers alone, and the input is text") as caught:
        train(experiment(*TRAINED, *texts), "run", model=of_texts(), data=(TEXTS, SORTS))
    assert caught.value.problems[0].path == "export.kind"
