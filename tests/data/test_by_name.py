"""Inputs, labels and weights that a config names: the same ones from every kind of data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.helpers import extras, records
from tests.helpers.runs import experiment, result, trained
from tests.helpers.splits import loaded, refused
from trainer.config.plan import Plan
from trainer.data import Data
from trainer.data.summary import summary

RANDOM = np.random.default_rng(6)
N = 40
A = RANDOM.normal(size=(N, 3)).astype(np.float32)
B = RANDOM.integers(0, 9, size=(N, 2))
Y = np.arange(N) % 3
Z = RANDOM.normal(size=N).astype(np.float32)
W = RANDOM.uniform(0.5, 2, size=N).astype(np.float32)
ARRAYS = {"a": A, "b": B, "y": Y, "z": Z, "w": W}
NAMED = {"inputs": ["a", "b"], "targets": ["y", "z"], "weights": "w"}
"""What the config says of each kind."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    module = ModuleType("brings")
    monkeypatch.setitem(sys.modules, "brings", module)
    module.arrays = lambda: ARRAYS  # type: ignore[attr-defined]
    module.dataset = _dataset  # type: ignore[attr-defined]
    return tmp_path


def _dataset() -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(ARRAYS)


def _npz() -> dict[str, Any]:
    np.savez("a.npz", **ARRAYS)  # type: ignore[arg-type]  # numpy's own flag is among them
    return {"kind": "npz", "path": "a.npz", **NAMED}


def _npy() -> dict[str, Any]:
    for name, array in ARRAYS.items():
        np.save(f"{name}.npy", array)
    files = {name: f"{name}.npy" for name in ARRAYS}
    return {
        "kind": "npy",
        "inputs": {name: files[name] for name in "ab"},
        "targets": {name: files[name] for name in "yz"},
        "weights": files["w"],
    }


def _records(packer: str | None) -> Callable[[], dict[str, Any]]:
    def asked() -> dict[str, Any]:
        rows = [{name: array[i].tolist() for name, array in ARRAYS.items()} for i in range(N)]
        records.write(Path("a.tfrecord"), rows, packer)
        return {"kind": "tfrecord", "path": "a.tfrecord", **NAMED}

    return asked


def _hub() -> dict[str, Any]:
    datasets = pytest.importorskip("datasets", reason="an extra")
    columns = {name: array.tolist() for name, array in ARRAYS.items()}
    floats = datasets.Sequence(datasets.Value("float32"), 3)
    features = datasets.Features(
        a=floats, b=datasets.Sequence(datasets.Value("int64"), 2), y=datasets.Value("int64"),
        z=datasets.Value("float32"), w=datasets.Value("float32"),
    )  # fmt: skip
    datasets.Dataset.from_dict(columns, features).save_to_disk("hub")
    return {"kind": "huggingface", "path": "hub", **NAMED}


SOURCES: dict[str, Callable[[], dict[str, Any]]] = {
    "npz": _npz,
    "npy": _npy,
    "a function's dict": lambda: {"kind": "python", "call": "brings:arrays", **NAMED},
    "a function's dataset": lambda: {"kind": "python", "call": "brings:dataset", **NAMED},
    "tfrecord": _records(None),
    "tfrecord, packed by gzip": _records("GZIP"),
    "tfrecord, packed by zlib": _records("ZLIB"),
    "huggingface": _hub,
}


@pytest.mark.parametrize("keep", ["device", "stream"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_arrays_by_name_are_the_same_whatever_they_come_from(
    source: Callable[[], dict[str, Any]], keep: str, here: Path
) -> None:
    split = loaded(**source(), keep=keep)
    given: Any = Data.declared({"kind": "given"})
    expected = given.of(({"a": A, "b": B}, {"y": Y, "z": Z}, W)).load()
    assert split.digest == expected.digest
    assert sorted(split.train.inputs) == ["a", "b"]
    assert split.train.labels["y"].dtype == np.int32
    assert split.train.weights is not None


def test_names_of_the_config_s_own_are_those_of_the_network(here: Path) -> None:
    asked = {**_npz(), "inputs": {"left": "a", "right": "b"}, "targets": {"sort": "y"}}
    facts = Data.declared(asked).facts()
    assert list(facts.inputs) == ["left", "right"]
    assert list(facts.labels) == ["sort"]


def test_what_was_understood_is_said(here: Path) -> None:
    lines = summary(Data.declared(_npz()))
    assert lines == [
        "inputs    a [3], b [2]",
        "labels    y 3 classes: 0 to 2; z a number to predict",
        "examples  32 to train, 8 held out: 0.2 of all, by seed 0",
        "weights   of each example",
    ]


def test_tests_of_the_same_file_have_names_too(here: Path) -> None:
    more = {"a_test": A[:5], "b_test": B[:5], "y_test": Y[:5], "z_test": Z[:5], "w_test": W[:5]}
    np.savez("a.npz", **ARRAYS, **more)  # type: ignore[arg-type]
    tests = {
        "test_inputs": {"a": "a_test", "b": "b_test"},
        "test_targets": {"y": "y_test", "z": "z_test"},
        "test_weights": "w_test",
    }
    split = loaded(**{"kind": "npz", "path": "a.npz", **NAMED}, **tests)
    assert (len(split.train), len(split.test)) == (N, 5)
    np.testing.assert_array_equal(split.test.labels["y"], Y[:5])
    np.testing.assert_array_equal(split.test.weights, W[:5])


def test_the_names_of_classes_are_those_of_each_label(here: Path) -> None:
    pytest.importorskip("datasets", reason="an extra")
    extras.hub(here)
    asked = {"kind": "huggingface", "path": "hub", "inputs": {"x": "row"}, "normalise": "none"}
    split = loaded(**asked, targets=["label"])
    assert split.preparation.names == {"label": ("cat", "dog", "emu")}


def test_features_of_tensorflow_datasets_have_names(here: Path) -> None:
    pytest.importorskip("tensorflow_datasets", reason="an extra")
    extras.tfds(here)
    asked = {"kind": "tfds", "name": "tiny", "data_dir": "tfds", "normalise": "none"}
    split = loaded(**asked, inputs=["x", "row"], targets=["label", "number"], weights="label")
    np.testing.assert_array_equal(split.train.labels["number"], split.train.inputs["row"][:, :1])
    np.testing.assert_array_equal(split.train.weights, split.train.labels["label"])
    assert split.preparation.names == {"label": ("cat", "dog", "emu"), "number": None}


def test_pixels_leave_ids_beside_an_image_as_they_are(here: Path) -> None:
    images = RANDOM.integers(0, 256, (N, 4, 4, 1)).astype(np.uint8)
    np.savez("a.npz", image=images, token=B, y=Y)
    asked = {"kind": "npz", "path": "a.npz", "inputs": ["image", "token"], "labels": "y"}
    split = loaded(**asked, normalise="pixels", keep="stream")
    assert np.asarray(split.train.inputs["image"]).max() <= 1
    assert set(np.asarray(split.train.inputs["token"]).ravel()) <= set(B.ravel().tolist())


def test_a_network_trains_on_what_the_config_names(here: Path) -> None:
    _npz()
    asked = ("data=npz", "data.path=a.npz", "data.inputs=[a,b]", "data.targets=[y,z]",
             "data.weights=w", "data.batch_size=8", "model=tabular", "run.length=2")  # fmt: skip
    assert trained(here / "run", *asked) == 0
    assert {"eval_y_accuracy", "eval_z_mean_absolute_error"} <= result(here / "run")[
        "metrics"
    ].keys()


REFUSALS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "an input": ({"inputs": ["a", "bb"]}, "inputs", "is no ", "did you mean b?"),
    "a label": ({"targets": ["y", "zz"]}, "targets", "is no ", "did you mean z?"),
    "a weight": ({"weights": "ww"}, "weights", "is no ", "did you mean w?"),
    "a name twice": ({"inputs": ["a", "a"]}, "inputs", "names one of them twice", "once"),
}
KINDS = {name: make for name, make in SOURCES.items() if name not in ("npy", "huggingface")}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("source", KINDS.values(), ids=KINDS)
def test_a_name_that_is_not_there_is_told_with_the_nearest_one(
    source: Callable[[], dict[str, Any]], case: tuple[dict[str, Any], str, str, str], here: Path
) -> None:
    changed, path, rule, hint = case
    problem = refused(lambda: Data.declared({**source(), **changed}).facts())
    assert problem.path == path
    assert rule in problem.rule
    assert hint in problem.hint


OTHERS: dict[str, tuple[list[str], str, str]] = {
    "tests without labels": (
        ["data=npz", "data.path=a.npz", "data.test_inputs=a"], "data.test_labels", "is required",
    ),
    "tests without weights": (
        ["data=npz", "data.path=a.npz", "data.test_inputs=a", "data.test_labels=y",
         "data.weights=w"], "data.test_weights", "is required",
    ),
    "no labels": (["data=npy", "data.inputs={a: a.npy}"], "data.labels", "is required"),
    "keys of no dict": (
        ["data=python", "data.inputs=a", "data.labels=y", "data.call=trainer.examples:moons"],
        "data.call", "returned tuple, and data.inputs names keys of a dict",
    ),
    "labels without inputs": (
        ["data=python", "data.labels=y", "data.call=trainer.examples:moons"],
        "data.labels", "no inputs are named",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS.values(), ids=OTHERS)
def test_what_is_named_by_half_is_refused(case: tuple[list[str], str, str], here: Path) -> None:
    _npz()
    overrides, path, rule = case
    problem = refused(lambda: Plan.of(experiment(*overrides, "model=mlp")))
    assert problem.path == path
    assert rule in problem.rule
