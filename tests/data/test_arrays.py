"""Data in arrays: numpy's files, what is made up, what is held out, and how inputs are prepared."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import Clock, Refused, load
from schedules.declaration import within
from tests.helpers.runs import experiment, result, trained
from tests.helpers.splits import loaded
from trainer.data import Data, Facts, Preparation
from trainer.data.held_out import HeldOut

RANDOM = np.random.default_rng(3)
INPUTS = RANDOM.normal(5.0, 3.0, (60, 4))
LABELS = np.arange(60) % 3


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path: str, **arrays: Any) -> None:
    np.savez(path, **{"inputs": INPUTS, "labels": LABELS, **arrays})


def test_arrays_come_out_as_they_went_in_whatever_the_file(here: Path) -> None:
    save("a.npz")
    np.savez_compressed("packed.npz", inputs=INPUTS, labels=LABELS)
    np.save("x.npy", INPUTS)
    np.save("y.npy", LABELS)
    np.save("fortran.npy", np.asfortranarray(INPUTS))
    splits = [
        loaded(kind="npz", path="a.npz"),
        loaded(kind="npz", path="packed.npz"),
        loaded(kind="npy", inputs="x.npy", labels="y.npy"),
        loaded(kind="npy", inputs="fortran.npy", labels="y.npy"),
    ]
    train, test = HeldOut().parts(60, LABELS.astype(np.int32))
    assert (len(train), len(test)) == (48, 12)
    for split in splits:
        np.testing.assert_array_equal(split.train.inputs, INPUTS[train].astype(np.float32))
        np.testing.assert_array_equal(split.test.inputs, INPUTS[test].astype(np.float32))
        np.testing.assert_array_equal(split.train.labels, LABELS[train])
        assert split.train.labels.dtype == np.int32
        assert split.digest == splits[0].digest


def test_test_examples_are_those_given(here: Path) -> None:
    more = {"x_test": INPUTS[:7] + 1, "y_test": LABELS[:7]}
    save("a.npz", **more)
    np.savez("b.npz", inputs=more["x_test"], labels=more["y_test"])
    same = loaded(kind="npz", path="a.npz", test_inputs="x_test", test_labels="y_test")
    other = loaded(kind="npz", path="a.npz", test="b.npz")
    for split in (same, other):
        np.testing.assert_array_equal(split.train.inputs, INPUTS.astype(np.float32))
        np.testing.assert_array_equal(split.test.inputs, more["x_test"].astype(np.float32))
        np.testing.assert_array_equal(split.test.labels, LABELS[:7])


@pytest.mark.parametrize(
    ("labels", "classes", "targets"),
    [
        (LABELS, 3, 1),
        (LABELS.astype(np.uint8)[:, None], 3, 1),
        (LABELS == 1, 2, 1),
        (np.array(["cat", "ant", "bee"])[LABELS], 3, 1),
        (RANDOM.normal(size=60), None, 1),
        (RANDOM.normal(size=(60, 2)), None, 2),
        (np.eye(3)[LABELS], 3, 1),
        (np.eye(3, dtype=bool)[LABELS], 3, 1),
        (np.eye(5, dtype=np.int64)[LABELS], 5, 1),
        (1 - np.eye(3)[LABELS], None, 3),
        (LABELS + 0.5, None, 1),
        (1.0 + LABELS, None, 1),
    ],
    ids=[
        "whole",
        "column",
        "flags",
        "names",
        "numbers",
        "rows",
        "one-hot",
        "one-hot flags",
        "one-hot of more",
        "several at a time",
        "halves",
        "stars",
    ],
)
def test_labels_tell_the_task(here: Path, labels: Any, classes: Any, targets: int) -> None:
    save("a.npz", labels=labels)
    facts = Data.declared({"kind": "npz", "path": "a.npz"}).facts()
    assert facts == Facts.of(48, (4,), classes, targets)
    split = loaded(kind="npz", path="a.npz")
    wanted = (48,) if classes else (48, targets)
    assert split.train.labels.shape == wanted
    assert split.preparation.names == (("ant", "bee", "cat") if labels.dtype.kind == "U" else None)


@pytest.mark.parametrize("task", ["auto", "classification"])
def test_one_hot_rows_are_the_classes_that_they_mark(here: Path, task: str) -> None:
    save("a.npz")
    save("b.npz", labels=np.eye(3)[LABELS])
    marked = loaded(kind="npz", path="b.npz", task=task)
    assert marked.digest == loaded(kind="npz", path="a.npz").digest
    numbers = loaded(kind="npz", path="b.npz", task="regression")
    assert numbers.train.labels.shape == (48, 3)


def test_names_are_numbered_by_the_alphabet(here: Path) -> None:
    names = np.array(["cat", "ant", "bee"])[LABELS]
    save("a.npz", labels=names)
    np.savez("same.npz", inputs=INPUTS, labels=np.array([2, 0, 1])[LABELS])
    by_name, by_number = (loaded(kind="npz", path=path) for path in ("a.npz", "same.npz"))
    np.testing.assert_array_equal(by_name.test.labels, by_number.test.labels)


@given(
    st.lists(st.integers(0, 4), min_size=10, max_size=200),
    st.floats(0.05, 0.95),
    st.integers(0, 2**40),
)
def test_what_is_held_out_has_its_share_of_every_class(
    classes: list[int], fraction: float, seed: int
) -> None:
    labels = np.array(classes, np.int32)
    train, test = HeldOut(fraction=fraction, seed=seed).parts(len(labels), labels)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert len(test) == round(len(labels) * fraction)
    for which in np.unique(labels):
        wanted = fraction * (labels == which).sum()
        assert abs((labels[test] == which).sum() - wanted) <= 1.5
    again = HeldOut(fraction=fraction, seed=seed).parts(len(labels), labels)
    np.testing.assert_array_equal(test, again[1])


def test_another_seed_holds_out_others_and_another_run_seed_does_not(here: Path) -> None:
    first, second = (HeldOut(seed=seed).parts(100, None)[1] for seed in (0, 1))
    assert (first != second).any()


def test_preparation_is_worked_out_on_the_training_part_alone(here: Path) -> None:
    save("a.npz")
    np.savez("b.npz", inputs=INPUTS * 100 + 7, labels=LABELS)
    for how, shift, scale in (
        ("standardise", INPUTS.mean(axis=0), INPUTS.std(axis=0)),
        ("scale", INPUTS.min(axis=0), np.ptp(INPUTS, axis=0)),
        ("pixels", 0, 255),
        ("none", 0, 1),
    ):
        split = loaded(kind="npz", path="a.npz", test="b.npz", normalise=how)
        expected = [(x - shift) / scale for x in (INPUTS, INPUTS * 100 + 7)]
        np.testing.assert_allclose(split.train.inputs, expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(split.test.inputs, expected[1], rtol=1e-5, atol=1e-4)


def test_channels_of_images_are_standardised_each(here: Path) -> None:
    images = RANDOM.integers(0, 256, (40, 3, 5, 2)).astype(np.uint8)
    images[..., 1] //= 4
    save("a.npz", inputs=images, labels=LABELS[:40])
    np.savez("b.npz", inputs=images, labels=LABELS[:40])
    split = loaded(kind="npz", path="a.npz", test="b.npz", normalise="standardise")
    np.testing.assert_allclose(split.train.inputs.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(split.train.inputs.std(axis=(0, 1, 2)), 1, rtol=1e-5)


def test_large_numbers_keep_their_small_differences_and_constants_become_nothing(
    here: Path,
) -> None:
    moments = 1.7e9 + np.arange(60)  # seconds since 1970, which float32 can't tell apart
    save("a.npz", inputs=np.stack([moments, np.full(60, 3.0)], axis=1))
    split = loaded(kind="npz", path="a.npz", normalise="standardise")
    assert len(np.unique(split.train.inputs[:, 0])) == 48
    assert not split.train.inputs[:, 1].any()
    assert abs(split.train.inputs[:, 0].std() - 1) < 1e-5


def test_raw_inputs_of_later_go_through_the_very_same(here: Path) -> None:
    save("a.npz")
    trained(here / "run", "data=npz", "data.path=a.npz", "data.normalise=standardise",
            "data.batch_size=8", "run.length=4")  # fmt: skip
    assert result(here / "run")["status"] == "done"
    kept = Preparation.read(here / "run" / "preparation.json")
    split = loaded(kind="npz", path="a.npz", normalise="standardise")
    assert kept == split.preparation
    _, test = HeldOut().parts(60, LABELS.astype(np.int32))
    np.testing.assert_array_equal(kept.apply(INPUTS[test]), split.test.inputs)
    for wrong in (INPUTS[:, :3], INPUTS.astype(str)):
        with pytest.raises(Refused, match="inputs"):
            kept.apply(wrong)
    (here / "broken.json").write_text("{")
    with pytest.raises(Refused, match="can't be read"):
        Preparation.read(here / "broken.json")


def test_inputs_take_the_shape_that_is_asked_for(here: Path) -> None:
    save("a.npz")
    split = loaded(kind="npz", path="a.npz", shape=[2, 2, 1])
    assert split.train.inputs.shape == (48, 2, 2, 1)
    save("single.npz", inputs=np.arange(60.0))
    assert loaded(kind="npz", path="single.npz", shape=[1]).train.inputs.shape == (48, 1)


def test_a_run_can_be_replayed_from_another_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("a.npz")
    declared = experiment("data=npz", "data.path=a.npz").model_dump(mode="json")["data"]
    assert declared["path"] == str(here / "a.npz")
    monkeypatch.chdir("/")
    assert Data.declared(declared).facts().examples == 48


def test_facts_read_headers_and_labels_only(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save("a.npz")
    read = []
    original = np.lib.format.read_array
    monkeypatch.setattr(
        np.lib.format, "read_array", lambda *a, **k: read.append(1) or original(*a, **k)
    )
    np.savez_compressed("packed.npz", inputs=INPUTS, labels=LABELS)
    packed = Data.declared({"kind": "npz", "path": "packed.npz"})
    assert packed.facts() == packed.facts() == Facts.of(48, (4,), 3, 1)
    assert len(read) == 1  # the labels


@pytest.mark.parametrize(
    ("classes", "targets", "shape"), [(5, 1, (3, 2)), (None, 1, (4,)), (None, 3, (2, 2, 1))]
)
def test_what_is_made_up_is_as_asked_and_the_same_again(
    classes: int | None, targets: int, shape: tuple[int, ...]
) -> None:
    asked = {
        "kind": "synthetic", "shape": shape, "classes": classes, "targets": targets,
        "examples": 50, "test_examples": 20,
    }  # fmt: skip
    split = loaded(**asked)
    assert split.train.inputs.shape == (50, *shape)
    assert split.test.labels.shape == ((20,) if classes else (20, targets))
    assert split.digest == loaded(**asked).digest
    assert split.digest != loaded(**asked, seed=1).digest


def test_made_up_numbers_hang_on_the_inputs_as_they_are_said_to() -> None:
    split = loaded(kind="synthetic", classes=None, shape=(5,), noise=0.0, examples=100)
    weights, *_ = np.linalg.lstsq(split.train.inputs, split.train.labels, rcond=None)
    np.testing.assert_allclose(split.test.inputs @ weights, split.test.labels, atol=1e-5)


def broken(name: str) -> dict[str, Any]:
    """Files that can't be learnt from, each written here, and the config that names it."""
    npz = {"kind": "npz", "path": "a.npz"}
    match name:
        case "missing":
            save("b.npz")
        case "text file":
            Path("a.npz").write_text("inputs,labels\n1,2\n")
        case "cut off":
            save("whole.npz")
            Path("a.npz").write_bytes(Path("whole.npz").read_bytes()[:1000])
        case "folder":
            Path("a.npz").mkdir()
        case "no such array":
            save("a.npz")
            npz["inputs"] = "input"
        case "pickle":
            objects = np.array([{}] * 60, dtype=object)
            np.savez("a.npz", inputs=objects, labels=LABELS, allow_pickle=True)
        case "different lengths":
            save("a.npz", labels=LABELS[:-1])
        case "empty":
            save("a.npz", inputs=INPUTS[:0], labels=LABELS[:0])
        case "single numbers":
            save("a.npz", inputs=INPUTS[:, 0])
        case "wrong shape":
            save("a.npz")
            npz["shape"] = [28, 28, 1]  # type: ignore[assignment]
        case "shapes differ":
            save("a.npz")
            save("b.npz", inputs=INPUTS[:, :3])
            npz["test"] = "b.npz"
        case "labels from 1":
            save("a.npz", labels=LABELS + 1)
        case "prices":
            save("a.npz", labels=1000 + LABELS * 7)
        case "negative labels":
            save("a.npz", labels=LABELS - 1)
        case "too many classes":
            save("a.npz")
            npz["classes"] = 2  # type: ignore[assignment]
        case "one class":
            save("a.npz", labels=LABELS * 0)
        case "several classes at a time":
            save("a.npz", labels=1 - np.eye(3)[LABELS])
            npz["task"] = "classification"
        case "shares of classes":
            save("a.npz", labels=0.7 * np.eye(3)[LABELS] + 0.1)
            npz["task"] = "classification"
        case "one-hot rows of other classes":
            save("a.npz", labels=np.eye(3)[LABELS])
            npz["classes"] = 4  # type: ignore[assignment]
        case "one-hot rows to train only":
            save("a.npz", labels=np.eye(3)[LABELS])
            save("b.npz", labels=1 - np.eye(3)[LABELS])
            npz["test"] = "b.npz"
        case "whole numbers in fractions":
            save("a.npz", labels=LABELS.astype(np.float32))
        case "rows of whole numbers":
            save("a.npz", labels=LABELS[:, None] + np.arange(3))
        case "fractions as classes":
            save("a.npz", labels=LABELS + 0.5)
            npz["task"] = "classification"
        case "names as numbers":
            save("a.npz", labels=np.array(["a", "b", "c"])[LABELS])
            npz["task"] = "regression"
        case "a class of tests only":
            save("a.npz", labels=np.array(["a", "b", "a"])[LABELS])
            save("b.npz", labels=np.array(["a", "b", "c"])[LABELS])
            npz["test"] = "b.npz"
        case "infinite label":
            save("a.npz", labels=np.where(LABELS == 2, np.inf, LABELS))
        case "dates":
            save("a.npz", labels=LABELS.astype("datetime64[s]"))
        case "too few to hold out":
            save("a.npz", inputs=INPUTS[:2], labels=LABELS[:2])
        case "held out and given":
            save("a.npz")
            npz |= {"test": "a.npz", "held_out": {"fraction": 0.1}}  # type: ignore[dict-item]
        case "half of a test":
            save("a.npz")
            npz["test_inputs"] = "inputs"
        case "nan":
            save("a.npz", inputs=np.where(np.arange(60)[:, None] == 4, np.nan, INPUTS))
    return npz


REFUSED = {
    "missing": ("data.path", "is no file that exists", "did you mean b.npz?"),
    "text file": ("data.path", "can't be read: File is not a zip file", ""),
    "cut off": ("data.path", "can't be read: File is not a zip file", ""),
    "folder": ("data.path", "can't be read: Is a directory", ""),
    "no such array": ("data.inputs", "is no array of", "did you mean inputs?"),
    "pickle": ("data.inputs", "never unpickled", "save an array of numbers"),
    "different lengths": ("data.train", "has 60 inputs and 59 labels", "one label"),
    "empty": ("data.train", "has no examples", ""),
    "single numbers": ("data.inputs", "single numbers", "data.shape=[1]"),
    "wrong shape": ("data.shape", "has 784 numbers, and an input, of shape [4], has 4", ""),
    "shapes differ": ("data.test", "has inputs of shape [3], and train has [4]", ""),
    "labels from 1": ("data.labels", "from 1 to 3, and no example of class 0", "from 0 on"),
    "prices": ("data.labels", "from 1000 to 1014, and no example of class 0", "task=regression"),
    "negative labels": ("data.labels", "has labels from -1 to 1", "from 0 on"),
    "too many classes": ("data.labels", "from 0 to 2, and classes go from 0 to 1", "from 0 on"),
    "one class": ("data.labels", "has one class only: every label is 0", ""),
    "several classes at a time": (
        "data.labels",
        "has labels of shape [3]",
        "data.task=regression loss=binary_cross_entropy",
    ),
    "shares of classes": ("data.labels", "has labels of shape [3]", "labels.argmax(axis=1) takes"),
    "one-hot rows of other classes": ("data.labels", "one of 3 classes", "leave out data.classes"),
    "one-hot rows to train only": ("data.labels", "not in all tests", "data.task=regression"),
    "whole numbers in fractions": ("data.labels", "from 0 to 2 in float32", "task=regression"),
    "rows of whole numbers": ("data.labels", "3 whole numbers a label", "data.task="),
    "fractions as classes": ("data.labels", "has label 0.5 in example 0", "task=regression"),
    "names as numbers": ("data.labels", "no numbers, such as 'a'", "task=classification"),
    "a class of tests only": ("data.labels", "the class 'c' among test", "known: a, b"),
    "infinite label": ("data.labels", "not finite, in example 2", "clean the data"),
    "dates": ("data.labels", "of type datetime64[s]", ""),
    "too few to hold out": ("data.held_out.fraction", "would hold out 0 of 2", "bring more"),
    "held out and given": ("data.held_out", "test examples are given", "leave out"),
    "half of a test": ("data.test_labels", "is required", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_learnt_from_is_refused_before_anything_is_loaded(
    name: str, here: Path
) -> None:
    path, rule, hint = REFUSED[name]
    asked = broken(name)
    with pytest.raises(Refused) as refused, within("data"):
        Data.declared(asked).facts()
    [problem] = refused.value.problems
    assert problem.path == path
    assert rule in problem.rule
    assert hint in problem.hint


def test_values_that_are_not_finite_are_refused_with_their_example(here: Path) -> None:
    with pytest.raises(Refused, match="has a value that is not finite, in example"):
        loaded(**broken("nan"))


def test_a_whole_experiment_is_refused_by_override_path(here: Path) -> None:
    save("a.npz")
    with pytest.raises(Refused, match=r"^data.labels = 'label': is no array of"):
        experiment("data=npz", "data.path=a.npz", "data.labels=label").clock()
    with pytest.raises(Refused, match=r"^data.path: is required"):
        experiment("data=npz")


def test_preparation_is_written_to_the_last_digit(tmp_path: Path) -> None:
    kept = Preparation.of((2,), (1 / 3, 0.1), (np.pi, 1e-30), ("a", "b"), ("x", "y"))
    kept.write(tmp_path / "p.json")
    assert Preparation.read(tmp_path / "p.json") == kept
    assert json.loads((tmp_path / "p.json").read_text())["shift"] == [1 / 3, 0.1]


HEADER = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"
SPOILT = {
    "braces": "{{{{\n",
    "brackets": "[" * 3000,
    "signs": "-" * 5000 + "1",
    "one number": "3\n",
    "digits": "1" * 9000,
    "too long a side": HEADER.format("<f4", f"({10**23}, 2)"),
    "too long a side of nothing": HEADER.format("<f4", f"(0, {10**23})"),
    "too much": HEADER.format("<f4", "(4294967296, 4294967296)"),
    "more than the file has": HEADER.format("<f4", "(1000000, 2)"),
    "a negative side": HEADER.format("<f4", "(-16,)"),
    "negative sides": HEADER.format("<f4", "(-4, -4)"),
    "a boolean side": HEADER.format("<f4", "(True, 16)"),
    "a nested shape": HEADER.format("<f4", "((16,),)"),
    "no type": HEADER.format("zz", "(16,)"),
    "objects": HEADER.format("|O", "(16,)"),
    "text that is none": HEADER.format("\\ud800", "(16,)"),
}


def npy_file(header: str, version: tuple[int, int] = (1, 0)) -> bytes:
    """A file with such a header, and some bytes behind it."""
    content = header.encode("latin-1")
    return b"\x93NUMPY" + bytes(version) + len(content).to_bytes(2, "little") + content + bytes(64)


@pytest.mark.parametrize("name", [*SPOILT, "another version"])
@pytest.mark.parametrize("field", ["inputs", "labels"])
@pytest.mark.parametrize("packed", ["npy", "stored", "deflated"])
def test_a_spoilt_header_is_refused_whatever_it_says(
    name: str, field: str, packed: str, here: Path
) -> None:
    good = HEADER.format("<f4", "(16,)")
    spoilt = npy_file(good, (9, 9)) if name == "another version" else npy_file(SPOILT[name])
    contents = {"inputs": npy_file(good), "labels": npy_file(good), field: spoilt}
    config: dict[str, Any]
    if packed == "npy":
        for part, content in contents.items():
            (here / f"{part}.npy").write_bytes(content)
        config = {"kind": "npy", "inputs": "inputs.npy", "labels": "labels.npy", "batch_size": 2}
    else:
        how = zipfile.ZIP_STORED if packed == "stored" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(here / "all.npz", "w", how) as archive:
            for part, content in contents.items():
                archive.writestr(f"{part}.npy", content)
        config = {"kind": "npz", "path": "all.npz", "batch_size": 2}
    with pytest.raises(Refused, match=r"can't be read: |holds Python objects") as refused:
        Data.declared(config).facts()
    [problem] = refused.value.problems
    assert problem.path == field


@pytest.mark.parametrize("name", SPOILT)
def test_a_table_of_rates_with_a_spoilt_header_is_refused_too(name: str, here: Path) -> None:
    (here / "rates.npy").write_bytes(npy_file(SPOILT[name]))
    with pytest.raises(Refused, match=r"file = 'rates\.npy': can't be read: "):
        load({"kind": "table", "file": "rates.npy"}, Clock(10))
