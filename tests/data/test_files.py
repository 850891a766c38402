"""Data in folders of images, in TFRecord files, and from functions: what is read and refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tests.helpers import records
from tests.helpers.runs import experiment, result, trained
from tests.helpers.splits import loaded, refused
from trainer.data import Data, Facts
from trainer.data.sources.image_size import dimensions

RANDOM = np.random.default_rng(6)
IMAGES = RANDOM.integers(0, 256, (12, 5, 7, 3)).astype(np.uint8)
LABELS = np.arange(12) % 2


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def declared(**config: Any) -> Data:
    return Data.declared(config)


def png(image: Any) -> bytes:
    return bytes(tf.io.encode_png(image).numpy())


def folder(name: str, images: Any = IMAGES) -> None:
    for i, image in enumerate(images):
        file = Path(name) / ("cats", "dogs")[LABELS[i]] / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image))


def test_images_are_those_in_the_files_and_their_folder_is_the_class(here: Path) -> None:
    folder("images")
    Path("images/.DS_Store").write_text("")
    Path("images/cats/notes.txt").write_text("")
    split = loaded(kind="image_folder", path="images", test="images")
    order = np.argsort(LABELS, kind="stable")
    np.testing.assert_array_equal(split.train.inputs, IMAGES[order] / np.float32(255))
    np.testing.assert_array_equal(split.train.labels, LABELS[order])
    assert split.preparation.names == ("cats", "dogs")
    assert split.test.inputs.shape == split.train.inputs.shape


def test_every_format_is_decoded_and_its_size_known_without_tensorflow(here: Path) -> None:
    smooth = np.tile(np.linspace(0, 200, 9, dtype=np.uint8)[:, None, None], (1, 11, 3))
    for i, ending in enumerate(("png", "jpg", "jpeg", "bmp", "gif")):
        file = Path("images") / f"class_{i % 2}" / f"{i}.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        more = {"quality": 95, "progressive": True} if ending == "jpg" else {}
        Image.fromarray(smooth).save(file, **more)
        assert dimensions(file) == (9, 11)
    inputs = loaded(kind="image_folder", path="images", test="images", normalise="none").train
    assert len(inputs) == 5
    for found in inputs.inputs:
        np.testing.assert_allclose(found, smooth, atol=8)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_an_image_is_learnt_from_as_it_is_seen(orientation: int, ending: str, here: Path) -> None:
    smooth = np.linspace(0, 120, 8)[:, None, None] + np.linspace(0, 120, 16)[:, None] + np.zeros(3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = Path("images", "cats", f"0.{ending}")
    for place in (file, Path("images", "dogs", "0.png")):
        place.parent.mkdir(parents=True)
    Image.fromarray(smooth.astype(np.uint8)).save(file, exif=exif, quality=100)
    seen = ImageOps.exif_transpose(Image.open(file))
    assert dimensions(file) == dimensions(file.read_bytes()) == (seen.height, seen.width)
    Image.new("RGB", seen.size).save("images/dogs/0.png")
    folder = {"kind": "image_folder", "path": "images", "normalise": "none"}
    found = loaded(**folder, test="images").train.inputs[0]
    np.testing.assert_allclose(found, np.asarray(seen), atol=10)  # TensorFlow's quick JPEG
    resized = loaded(**folder, test="images", size=[seen.height // 2, seen.width // 2]).train
    assert resized.inputs.shape[1:3] == (seen.height // 2, seen.width // 2)
    halved = seen.resize((seen.width // 2, seen.height // 2), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resized.inputs[0], np.asarray(halved), atol=12)
    rows = [{"image": file.read_bytes(), "label": i % 2} for i in range(4)]
    records.write(Path("a.tfrecord"), rows)
    recorded = loaded(kind="tfrecord", path="a.tfrecord", test="a.tfrecord").train.inputs[0]
    np.testing.assert_array_equal(recorded, found)


@pytest.mark.filterwarnings("default:Corrupt EXIF data")
def test_an_image_with_damaged_exif_is_read_as_it_lies(here: Path) -> None:
    file = Path("a.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (16, 8)).save(file, exif=exif)
    whole = file.read_bytes()
    assert dimensions(whole) == (16, 8)
    place = whole.index(b"Exif") + 6
    for damaged in (b"XX*\0", b"MM\0*\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff\xff\xff"):
        content = whole[:place] + damaged + whole[place + len(damaged) :]
        assert dimensions(content) == (8, 16)


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        (["train", "test"], "train", "test"),
        (["Train", "val", "test"], "Train", "test"),
        (["training", "validation"], "training", "validation"),
        (["train", "eval", "__MACOSX"], "train", "eval"),
        (["train"], "train", None),
        (["valid"], "valid", None),
    ],
)
def test_folders_of_parts_are_no_classes(
    names: list[str], train: str, test: str | None, here: Path
) -> None:
    for name in names:
        folder(f"images/{name}")
    asked = ("data=image_folder", "data.path=images", "data.batch_size=2")
    problem = refused(lambda: experiment(*asked).data.facts())
    assert problem.path == "path"
    assert "parts of a data set, and no classes" in problem.rule
    assert [word.partition("=")[0] for word in problem.hint.split()] == (
        ["data.path", "data.test"] if test else ["data.path"]
    )
    data = experiment(*asked, *problem.hint.split()).data
    assert (data.path, data.test) == (here / "images" / train, test and here / "images" / test)
    assert data.facts().classes == 2


def test_a_class_may_have_the_name_of_a_part(here: Path) -> None:
    for name in ("bus", "train", "car"):
        folder(f"images/{name}")
    assert declared(kind="image_folder", path="images").facts().classes == 3


def test_images_are_resized_and_made_grey_where_that_is_asked_for(here: Path) -> None:
    folder("images")
    Path("images/cats/00.png").write_bytes(png(np.full((20, 9, 3), 100, np.uint8)))
    data = declared(
        kind="image_folder", path="images", size=[4, 6], channels=1, normalise="none", test="images"
    )
    assert data.facts() == Facts.of(12, (4, 6, 1), 2, 1)
    inputs = data.load().train.inputs
    np.testing.assert_array_equal(inputs[0], np.full((4, 6, 1), 100))
    np.testing.assert_array_equal(inputs, np.round(inputs))


def test_folders_that_can_not_be_learnt_from_are_refused(here: Path) -> None:
    def facts(**more: Any) -> Any:
        return refused(lambda: declared(kind="image_folder", **{"path": "images", **more}).facts())

    assert "is no folder that exists" in facts().rule
    Path("images").mkdir()
    Path("images/1.png").write_bytes(png(IMAGES[0]))
    problem = facts()
    assert (problem.path, problem.hint) == ("path", "the folder's name is the class")
    folder("images")
    Path("images/empty").mkdir()
    assert "has no images in its folder empty" in facts().rule
    Path("images/empty").rmdir()
    Path("images/cats/00.png").write_bytes(png(IMAGES[0][:4]))
    problem = facts()
    assert "is 5x7, and" in problem.rule
    assert problem.hint == "data.size=[4,7] resizes them all"
    Path("images/cats/00.png").write_bytes(b"\x89PNG but not really")
    assert "is no image" in facts().rule
    folder("images")
    folder("smaller", IMAGES[:, 1:])
    problem = facts(test="smaller")
    assert problem.path == "test"
    assert "the training images are 5x7" in problem.rule


def test_an_image_that_can_not_be_decoded_is_refused_by_its_name(here: Path) -> None:
    folder("images")
    whole = Path("images/dogs/03.png").read_bytes()
    Path("images/dogs/03.png").write_bytes(whole[:60])
    problem = refused(lambda: loaded(kind="image_folder", path="images"))
    assert problem.path == "data.path"
    assert problem.value.endswith("images/dogs/03.png")
    assert "can't be decoded" in problem.rule


@pytest.mark.parametrize("stored", ["numbers", "whole", "bytes", "floats", "image"])
def test_records_are_read_as_tensorflow_wrote_them(stored: str, here: Path) -> None:
    flat = IMAGES.reshape(12, -1)
    coded: dict[str, Callable[[int], Any]] = {
        "numbers": lambda i: (flat[i] / 4).tolist(),
        "whole": lambda i: flat[i].tolist(),
        "bytes": lambda i: flat[i].tobytes(),
        "floats": lambda i: (flat[i] / 4).astype("<f4").tobytes(),
        "image": lambda i: png(IMAGES[i]),
    }
    more = {"dtype": "float32"} if stored == "floats" else {}
    rows = [{"x": coded[stored](i), "y": int(LABELS[i])} for i in range(12)]
    records.write(Path("a-1.tfrecord"), rows[:5])
    records.write(Path("a-2.tfrecord"), rows[5:])
    split = loaded(
        kind="tfrecord", path="a-*.tfrecord", inputs="x", labels="y", test="a-1.tfrecord", **more
    )
    expected = flat / 4 if stored in ("numbers", "floats") else flat
    np.testing.assert_array_equal(split.train.inputs.reshape(12, -1), expected.astype(np.float32))
    np.testing.assert_array_equal(split.train.labels, LABELS)
    assert split.train.inputs.shape[1:] == ((5, 7, 3) if stored == "image" else (105,))


@pytest.mark.parametrize(
    ("labels", "classes", "targets"),
    [([1, 0, 1], 2, 1), (["b", "a", "b"], 2, 1), ([0.5, 1.5, 2.5], None, 1),
     ([[0.5, 1.0]] * 3, None, 2)],
)  # fmt: skip
def test_labels_of_records_tell_the_task(
    labels: Any, classes: int | None, targets: int, here: Path
) -> None:
    rows = [{"image": [float(i), 1.0], "label": label} for i, label in enumerate(labels)]
    records.write(Path("a.tfrecord"), rows * 4)
    data = declared(kind="tfrecord", path="a.tfrecord", test="a.tfrecord")
    assert data.facts() == Facts.of(12, (2,), classes, targets)


def test_an_index_is_made_once_and_anew_for_another_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.data.sources import tfrecord_index

    made = []
    scan = tfrecord_index._scan
    monkeypatch.setattr(tfrecord_index, "_scan", lambda *given: made.append(given) or scan(*given))
    rows = [{"image": [0.5, 1.5], "label": i % 2} for i in range(10)]
    asked = {"kind": "tfrecord", "path": "a.tfrecord", "test": "a.tfrecord"}
    records.write(Path("a.tfrecord"), rows)
    assert [loaded(**asked).digest for _ in range(3)] == [loaded(**asked).digest] * 3
    assert len(made) == 1
    records.write(Path("a.tfrecord"), rows[:6])
    assert declared(**asked).facts().examples == 6
    assert len(made) == 2
    Path("cache").rename("elsewhere")
    Path("cache").write_text("no folder")
    assert declared(**asked).facts().examples == 6


def spoilt(how: str) -> dict[str, Any]:
    file = Path("a.tfrecord")
    rows: list[Any] = [{"image": [0.5, i / 2], "label": i % 2} for i in range(10)]
    asked: dict[str, Any] = {"kind": "tfrecord", "path": "a.tfrecord"}
    match how:
        case "no example":
            rows[3] = b"\xff\xff\xff"
        case "no label":
            rows[4] = {"image": [0.5, 1.5]}
        case "another length":
            rows[9] = {"image": [0.5], "label": 1}
        case "no input":
            rows[2] = {"label": 1}
        case "another type":
            rows[2] = {"image": [1, 2], "label": 1}
        case "feature":
            asked["inputs"] = "imgae"
        case "bytes":
            rows = [{"image": b"123456", "label": i % 2} for i in range(10)]
            asked["dtype"] = "float32"
        case "no image":
            rows = [{"image": b"123456", "label": i % 2} for i in range(10)]
            asked["stored"] = "image"
        case "empty":
            rows = []
        case "missing":
            asked["path"] = "b.tfrecord"
    records.write(file, rows)
    content = bytearray(file.read_bytes())
    match how:
        case "a length":
            second = 16 + int.from_bytes(content[:8], "little")
            content[second] ^= 4
        case "a content":
            content[content.rfind(b"image") + 12] ^= 1
        case "cut off":
            content = content[:-7]
        case "no records":
            content = bytearray(b"inputs,labels\n" * 20)
        case "half of a packed file":
            import gzip

            content = bytearray(gzip.compress(bytes(content))[:-20])
        case "half of a file that ZLIB packed":
            import zlib

            content = bytearray(zlib.compress(bytes(content))[:-20])
        case "packed nonsense":
            import gzip

            content = bytearray(gzip.compress(b"inputs,labels\n" * 20))
    file.write_bytes(content)
    return asked


SPOILT = {
    "missing": ("path", "is no file that exists", "did you mean a.tfrecord?"),
    "empty": ("path", "has no records", ""),
    "no records": ("path", "is no TFRecord file", ""),
    "half of a packed file": ("path", "can't be read", ""),
    "half of a file that ZLIB packed": ("path", "can't be read", ""),
    "packed nonsense": ("path", "is no TFRecord file", ""),
    "a length": ("path", "is corrupt in record 1", "copy it again"),
    "cut off": ("path", "is cut off in record 9", "copy it again"),
    "no example": ("path", "holds no tf.train.Example in record 3", ""),
    "no label": ("labels", "is no feature of record 4", "known: image"),
    "feature": ("inputs", "is no feature of", "did you mean image?"),
    "bytes": ("inputs", "has 6 bytes in the first record, which are no row of float32", ""),
    "no image": ("inputs", "is no PNG, JPEG, GIF or BMP", "data.stored=bytes"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_records_that_can_not_be_learnt_from_are_refused(how: str, here: Path) -> None:
    path, rule, hint = SPOILT[how]
    asked = spoilt(how)
    problem = refused(lambda: declared(**asked).facts())
    assert problem.path == path
    assert rule in problem.rule
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("how", "rule"),
    [
        ("a content", "is corrupt in record 9: its checksum is another one"),
        ("another length", "has 1 numbers in record 9"),
        ("no input", "is missing in record 2"),
        ("another type", "is of another type in record 2"),
    ],
)
def test_what_only_reading_finds_is_refused_with_its_record(
    how: str, rule: str, here: Path
) -> None:
    asked = spoilt(how)
    for _ in range(2):  # what was found is not forgotten
        assert rule in refused(lambda: loaded(**asked)).rule


def arrays() -> Any:
    return IMAGES / 255, LABELS


def parts() -> Any:
    return (IMAGES[:8], LABELS[:8]), (IMAGES[8:], LABELS[8:])


def dataset() -> Any:
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))


def datasets() -> Any:
    return dataset().take(8), dataset().skip(8)


def batches() -> Any:
    return dataset().take(8).batch(5), dataset().skip(8).batch(2, drop_remainder=True)


def lists(numbers: int = 3) -> Any:
    return [[float(i)] * numbers for i in range(12)], ["a", "b"] * 6


def wrong(what: str) -> Any:
    rows = IMAGES.reshape(12, -1)
    return {
        "nothing": None,
        "four": (rows, LABELS, LABELS, LABELS),
        "a generator": (row for row in rows),
        "ragged": ([[1.0], [1.0, 2.0]], [0, 1]),
        "objects": ([{}, {}], [0, 1]),
        "one number": (1.5, 0),
        "lengths": (rows, LABELS[:5]),
        "empty": (rows[:0], LABELS[:0]),
        "endless": dataset().repeat(),
        "unknown": dataset().filter(lambda x, y: y > 0),
        "none": dataset().take(0),
        "ragged batches": dataset().map(lambda x, y: (tf.ensure_shape(x[:y], [None, 7, 3]), y)),
        "a lie": dataset().take(3).apply(tf.data.experimental.assert_cardinality(5)),
    }[what]


def raising() -> Any:
    raise RuntimeError("not today")


def call(name: str, **more: Any) -> Data:
    return declared(kind="python", call=f"tests.data.test_files:{name}", **more)


def test_functions_return_arrays_datasets_or_pairs_of_them(here: Path) -> None:
    for name in ("arrays", "dataset"):
        assert call(name, normalise="pixels").facts() == Facts.of(10, (5, 7, 3), 2, 1)
    for name in ("parts", "datasets", "batches"):
        data = call(name)
        assert data.facts().examples == 8
        np.testing.assert_array_equal(data.load().test.inputs, IMAGES[8:])
        np.testing.assert_array_equal(data.load().test.labels, LABELS[8:])
    data = call("lists", kwargs={"numbers": 4}, held_out={"fraction": 0.5})
    assert data.facts() == Facts.of(6, (4,), 2, 1)
    assert data.load().preparation.names == ("a", "b")


@pytest.mark.parametrize(
    ("what", "rule", "hint"),
    [
        ("nothing", "returned NoneType", "return (inputs, labels)"),
        ("four", "returned 4 things", "return (inputs, labels)"),
        ("a generator", "a generator, which can be gone through only once", "the function that"),
        ("ragged", "has rows of 1 to 2 steps", "data.ragged={length: longest}"),
        ("objects", "which is no array of numbers", ""),
        ("one number", "returned float in the place of an array", ""),
        ("lengths", "has 12 inputs and 5 labels", "give each input one label"),
        ("empty", "has no examples", ""),
        ("endless", "of which none can be held out", "return (stream, (test_inputs, test_labels))"),
        ("unknown", "of which none can be held out", "return (stream, (test_inputs, test_labels))"),
        ("none", "returned a dataset of no examples", ""),
        ("ragged batches", "no fixed shape: (None, 7, 3) and ()", "padded_batch to one length"),
        ("a lie", "returned a dataset that fails after 0 examples or more", ""),
    ],
)
def test_what_a_function_returns_is_refused_where_it_is_no_data(
    what: str, rule: str, hint: str
) -> None:
    problem = refused(lambda: call("wrong", kwargs={"what": what}).facts())
    assert rule in problem.rule
    assert hint in problem.hint


def test_a_function_that_raises_or_is_not_there_is_refused() -> None:
    assert "raised RuntimeError: not today" in refused(lambda: call("raising").facts()).rule
    assert refused(lambda: call("arays").facts()).hint == "did you mean arrays?"


def test_a_function_runs_only_where_code_is_allowed() -> None:
    asked = ("data=python", "data.call=tests.data.test_files:arrays", "data.batch_size=4")
    assert "runs only with allow_code" in refused(lambda: experiment(*asked)).rule
    assert experiment(*asked, "allow_code=[tests]").clock().examples_per_epoch == 10


def test_a_run_on_images_learns_their_classes(here: Path) -> None:
    bright = np.where(LABELS[:, None, None, None] == 1, IMAGES // 2 + 128, IMAGES // 2)
    folder("images", bright.astype(np.uint8))
    asked = ("data=image_folder", "data.path=images", "data.batch_size=4", "run.length=40")
    assert trained(here / "run", *asked, "schedule.initial_value=0.05") == 0
    assert result(here / "run")["metrics"]["eval_accuracy"] == 1


def test_facts_of_images_and_records_need_no_tensorflow(here: Path) -> None:
    folder("images")
    records.write(Path("a.tfrecord"), [{"image": png(IMAGES[0]), "label": i % 2} for i in range(9)])
    script = (
        "import sys\n"
        "from trainer.data import Data\n"
        "print(Data.declared({'kind': 'image_folder', 'path': 'images'}).facts().shape)\n"
        "print(Data.declared({'kind': 'tfrecord', 'path': 'a.tfrecord'}).facts().shape)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(here)},
    )  # fmt: skip
    assert done.stdout == "(5, 7, 3)\n(5, 7, 3)\n", done.stderr
