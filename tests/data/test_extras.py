"""Data that needs extras: Parquet, Hugging Face and TensorFlow Datasets, on sets made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import extras
from tests.helpers.runs import result, trained
from tests.helpers.splits import loaded, refused
from trainer.data import Data, Facts

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


def test_columns_of_parquet_are_inputs_and_labels(here: Path) -> None:
    extras.parquet(here)
    split = loaded(kind="parquet", path="a.parquet", target="label", test="a.parquet")
    np.testing.assert_array_equal(split.train.inputs, extras.VALUES)
    np.testing.assert_array_equal(split.train.labels, extras.LABELS)
    assert split.preparation.columns == ("x0", "x1", "x2")
    several = loaded(kind="parquet", path="a.parquet", target=["x0", "x2"], inputs=["x1"])
    assert several.train.labels.shape == (80, 2)
    streamed = loaded(kind="parquet", path="a.parquet", target="label", keep="stream")
    assert streamed.digest == loaded(kind="parquet", path="a.parquet", target="label").digest


def test_parquet_that_can_not_be_learnt_from_is_refused(here: Path) -> None:
    words = ["a", "b"] * 50
    holes = [None, *range(99)]
    extras.parquet(here, words=words, holes=holes)
    extras.parquet(here, "other.parquet")

    def facts(**more: Any) -> Any:
        asked = {
            "kind": "parquet",
            "path": "a.parquet",
            "target": "label",
            "inputs": ["x0"],
            **more,
        }
        return lambda: Data.declared(asked).facts()

    assert refused(facts(inputs=None)).rule.startswith("is of type string in")
    assert refused(facts(target="lable")).hint == "did you mean label?"
    assert "has 1 missing values" in refused(facts(target="holes")).rule
    extras.parquet(here, "more.parquet", extra=extras.LABELS)
    problem = refused(facts(path="more.parquet", inputs=["extra"], test="other.parquet"))
    assert "is no column of" in problem.rule
    assert "other.parquet" in problem.rule
    assert facts(target="words")().classes == 2
    Path("text.parquet").write_text("a,b\n1,2\n")
    assert "can't be read" in refused(facts(path="text.parquet")).rule
    asked = {"kind": "parquet", "path": "a.parquet", "target": "label", "inputs": ["holes"]}
    assert "has 1 missing values" in refused(lambda: loaded(**asked)).rule


def test_a_folder_of_hugging_face_is_read_and_streamed(here: Path) -> None:
    pytest.importorskip("datasets", reason="an extra")
    extras.hub(here)
    rows = {"kind": "huggingface", "path": "hub", "inputs": "row"}
    assert Data.declared(rows).facts().classes == 3  # one of which nothing is an example of
    split = loaded(**rows, test="validation")
    np.testing.assert_array_equal(split.train.inputs, extras.VALUES)
    assert split.preparation.names == ("cat", "dog", "emu")
    assert len(split.test) == 10
    images = loaded(kind="huggingface", path="hub", test="validation")
    np.testing.assert_array_equal(images.train.inputs, extras.IMAGES)
    assert loaded(**rows, keep="stream").digest == loaded(**rows).digest
    asked = ("data=huggingface", "data.path=hub", "data.inputs=row", "data.keep=stream",
             "data.batch_size=16", "data.normalise=standardise", "run.length=80")  # fmt: skip
    assert trained(here / "run", *asked) == 0
    assert result(here / "run")["metrics"]["eval_accuracy"] > 0.6


def test_a_folder_of_hugging_face_is_streamed_row_by_row(here: Path) -> None:
    pytest.importorskip("datasets", reason="an extra")
    extras.hub(here)
    asked = ("data=huggingface", "data.path=hub", "data.inputs=row", "data.streaming=true",
             "data.test=validation", "data.shuffle_buffer=30", "data.batch_size=16",
             "data.normalise=none", "data.epoch=100", "run.length=14",
             "run.compile=graph")  # fmt: skip
    assert trained(here / "whole", *asked) == 0
    assert trained(here / "parts", *asked, "run.stop_after=9") == 0
    assert trained(here / "parts", *asked) == 0
    digests = {result(here / folder)["weights_digest"] for folder in ("whole", "parts")}
    assert len(digests) == 1
    images = Data.declared({"kind": "huggingface", "path": "hub", "streaming": True,
                            "test": "validation", "normalise": "pixels"})  # fmt: skip
    assert images.facts().shape == extras.IMAGES.shape[1:]
    assert images.facts().classes == 3


def test_what_hugging_face_does_not_stream_is_refused() -> None:
    asked: dict[str, Any] = {"kind": "huggingface", "path": "hub"}
    assert refused(lambda: Data.declared({**asked, "streaming": True})).path == "test"
    problem = refused(lambda: Data.declared({**asked, "shuffle_buffer": 3}))
    assert problem.hint == "leave it out, or data.streaming=true"


def test_what_hugging_face_lacks_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="an extra")
    extras.hub(here)

    def facts(**more: Any) -> Any:
        return lambda: Data.declared({"kind": "huggingface", "path": "hub", **more}).facts()

    assert refused(facts(inputs="imgae")).hint == "did you mean image?"
    assert refused(facts(train="trian")).hint == "did you mean train?"
    ragged = {"kind": "huggingface", "path": "hub", "inputs": "ragged"}
    assert "has one of shape [2]" in refused(lambda: loaded(**ragged)).rule
    monkeypatch.setattr("datasets.load_dataset", _offline)
    problem = refused(facts(path="nobody/nothing"))
    assert problem.path == "path"
    assert problem.hint == "data.download=true fetches it"


def _offline(*given: Any, **more: Any) -> Any:
    assert more["download_config"].local_files_only
    raise ConnectionError("couldn't reach the hub")


def test_a_set_of_tensorflow_datasets_is_read(here: Path) -> None:
    pytest.importorskip("tensorflow_datasets", reason="an extra")
    extras.tfds(here)
    asked = {"kind": "tfds", "name": "tiny", "data_dir": "tfds", "inputs": "x"}
    data = Data.declared({**asked, "test": "test"})
    assert data.facts() == Facts.of(100, (6, 5, 3), 3, 1)
    assert Data.declared(asked).facts().examples == 80
    assert Data.declared({**asked, "train": "train[:50%]"}).facts().examples == 40
    split = loaded(**asked, test="test", normalise="none")
    found = split.train.inputs.astype(np.uint8)
    assert sorted(map(bytes, found)) == sorted(map(bytes, extras.IMAGES))
    assert split.preparation.names == ("cat", "dog", "emu")
    numbers = loaded(**{**asked, "inputs": "row", "labels": "number"})
    np.testing.assert_array_equal(numbers.train.labels[:, 0], numbers.train.inputs[:, 0])

    def facts(**more: Any) -> Any:
        return lambda: Data.declared({**asked, **more}).facts()

    assert refused(facts(inputs="y")).path == "inputs"
    assert refused(facts(train="trian")).hint == "did you mean train?"
    missing = refused(facts(name="tinny"))
    assert missing.path == "name"
    assert missing.hint == "data.download=true fetches it"


@pytest.mark.parametrize(
    ("asked", "package"),
    [
        ({"kind": "huggingface", "path": "a"}, "datasets"),
        ({"kind": "tfds", "name": "a"}, "tensorflow_datasets"),
    ],
)
def test_a_missing_extra_is_one_line_with_what_to_type(
    asked: dict[str, Any], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schedules.declaration.packages.find_spec", lambda name: None)
    problem = refused(lambda: Data.declared(asked).facts())
    assert problem.rule == f"needs {package}, which is not installed"
    assert problem.hint == f"pip install 'scheduled-training[{asked['kind']}]'"
