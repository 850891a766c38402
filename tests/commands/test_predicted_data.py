"""What is predicted of each kind of data as it is: images, records and tables without labels."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet, table

from tests.helpers.records import write
from tests.helpers.runs import experiment
from trainer import predict, train

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(24, 3)).round(3)
PIXELS = RANDOM.integers(0, 256, (8, 6, 5, 3)).astype(np.uint8)


def images(folder: str, *, masks: bool = False) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for i, pixels in enumerate(PIXELS):
        pixels = 255 * (pixels[..., 0] > 127).astype(np.uint8) if masks else pixels
        Image.fromarray(pixels).save(f"{folder}/{i}.png")


def folders() -> None:
    images("photos/cat")
    images("photos/dog")
    images("new")
    (Path("new") / "notes.txt").touch()


def pairs() -> None:
    images("in")
    images("masks", masks=True)
    images("new")


def records() -> None:
    images("new")
    encoded = [Path(f"new/{i}.png").read_bytes() for i in range(len(PIXELS))]
    labelled = [{"image": x, "label": i % 2} for i, x in enumerate(encoded * 2)]
    write(Path("a.tfrecord"), labelled)
    write(Path("new.tfrecord"), [{"image": x} for x in encoded])


def columns() -> None:
    a, b, c = ROWS.T
    kinds = ["u", "v", "w"] * 8
    parquet.write_table(table({"a": a, "kind": kinds, "b": b, "y": c, "z": -c}), "a.parquet")
    new = {"b": b[:8], "more": b[:8], "a": a[:8], "kind": ["v", "new"] * 4}
    parquet.write_table(table(new), "new.parquet")
    rows = zip(*new.values(), strict=True)
    with Path("new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*new], *rows])


def series() -> None:
    for path, order in (("a.csv", "abc"), ("new.csv", "cab")):
        with Path(path).open("w", newline="") as file:
            places = ["abc".index(name) for name in order]
            csv.writer(file).writerows([[*order], *ROWS[:, places].tolist()])


def hub() -> None:
    datasets = pytest.importorskip("datasets", reason="an extra")
    datasets.disable_progress_bars()
    columns = {"x": ROWS.tolist(), "label": [0, 1] * 12}
    datasets.Dataset.from_dict(columns).save_to_disk("a")
    datasets.Dataset.from_dict({"x": ROWS[:8].tolist()}).save_to_disk("new")


class Kind(NamedTuple):
    """Data of a kind, and places of new examples of it without labels."""

    make: Callable[[], None]
    asked: tuple[str, ...]
    places: tuple[tuple[str, ...], ...]
    raw: Any
    heading: list[str] | None


KINDS = {
    "image_folder": Kind(
        folders, ("data.path=photos", "model=mlp"),
        (("--inputs=new",), ("data.path=new",)), PIXELS,
        ["index", "file", "prediction", "probability_cat", "probability_dog"],
    ),
    "image_pairs": Kind(
        pairs, ("data.path=in", "data.targets=masks", "model=layers",
                "model.layers=[{kind: Conv2D, filters: 2, kernel_size: 3, padding: same}]"),
        (("--inputs=new",),), PIXELS, None,
    ),
    "tfrecord": Kind(
        records, ("data.path=a.tfrecord", "model=mlp"),
        (("--inputs=new.tfrecord",), ("data.path=new.tfrecord",), ("--inputs=new",)), PIXELS,
        ["index", "prediction", "probability_0", "probability_1"],
    ),
    "huggingface": Kind(
        hub, ("data.path=a", "data.inputs=x", "model=mlp"),
        (("--inputs=new",), ("data.path=new",)), ROWS[:8],
        ["index", "prediction", "probability_0", "probability_1"],
    ),
    "parquet": Kind(
        columns, ("data.path=a.parquet", "data.target=[y,z]", "model=tabular",
                  "data.columns.kind={kind: category}"),
        (("--inputs=new.parquet",), ("data.path=new.parquet",), ("--inputs=new.csv",)),
        {"kind": np.array(["v", "new"] * 4), "a": ROWS[:8, 0], "b": ROWS[:8, 1]},
        ["index", "prediction_y", "prediction_z"],
    ),
    "csv": Kind(
        series, ("data.path=a.csv", "data.target=b", "model=mlp",
                 "data.window={length: 4, horizon: 2}"),
        (("--inputs=new.csv",), ("--part=next",)),
        {"a": ROWS[-4:, 0], "b": ROWS[-4:, 1], "c": ROWS[-4:, 2]},
        ["index", "prediction_0", "prediction_1"],
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_new_examples_without_labels_are_predicted_as_they_are(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each place where they lie gives what the outcome says of the raw arrays."""
    one = KINDS[kind]
    monkeypatch.chdir(tmp_path)
    one.make()
    asked = ("run.length=2", "run.compile=graph", "data.batch_size=4", "data.cache=off")
    asked = asked if hasattr(experiment(f"data={kind}", *one.asked).data, "cache") else asked[:-1]
    outcome = train(experiment(f"data={kind}", *one.asked, *asked), "run", quiet=True)
    assert outcome.folder == tmp_path / "run"
    os.chdir("/")
    expected = outcome.predict(one.raw)
    os.chdir(tmp_path)
    for place in one.places:
        assert predict.main(["run", *place, "--output=p.npy"]) == 0, capsys.readouterr().err
        np.testing.assert_allclose(np.load("p.npy"), expected, rtol=1e-5, atol=1e-6)
    if one.heading is None:
        return
    assert predict.main(["run", *one.places[0]]) == 0
    with Path("predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == one.heading
    assert [row.get("file") for row in rows] == (
        [f"new/{i}.png" for i in range(8)] if "file" in one.heading else [None] * len(expected)
    )


@pytest.fixture(scope="module")
def of_images(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("images"))
        folders()
        asked = ("data=image_folder", "data.path=photos", "data.cache=off", "model=mlp")
        declared = experiment(*asked, "run.length=2", "run.compile=graph", "data.batch_size=8")
        return train(declared, "run", quiet=True)


def test_images_of_another_size_are_resized_where_the_hint_says_so(
    of_images: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(of_images.folder.parent)
    Image.fromarray(PIXELS[0]).resize((9, 7)).save("large.png")
    assert predict.main(["run", "--inputs=large.png"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("--inputs = 'large.png': is 7x9, and the training images are 6x5")
    hint = message.partition("hint: ")[2].split()[0]
    assert predict.main(["run", "--inputs=large.png", hint, "--output=p.npy"]) == 0
    assert np.load("p.npy").shape == (1, 2)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--inputs=newer"], "--inputs = 'newer': is no file that exists"),
        (["--inputs=new/notes.txt"], "--inputs = '.txt': must be one of .npy, .npz"),
        (["--inputs=run/checkpoints"], "--inputs = 'run/checkpoints': has no images"),
        (["--inputs=new", "data.path=new"], "--inputs = 'new': says what to predict, and so does"),
    ],
)  # fmt: skip
def test_a_place_without_images_is_refused(
    asked: list[str], message: str, of_images: Any, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(of_images.folder.parent)
    assert predict.main(["run", *asked]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_an_outcome_restores_its_network_once(
    of_images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of_images.predict(PIXELS)
    monkeypatch.setattr("trainer.commands.restored.Restored.network", None)
    np.testing.assert_array_equal(of_images.predict(PIXELS), first)


def test_an_outcome_of_a_given_model_predicts_by_the_weights_of_the_run(tmp_path: Path) -> None:
    """The model is free to train on meanwhile, and is left as it is."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    asked = ("run.length=2", "run.compile=graph", "data.batch_size=8")
    data = (ROWS.astype("f4"), ROWS[:, :1].astype("f4"))
    outcome = train(experiment(*asked), tmp_path / "run", model=model, data=data, quiet=True)
    first = outcome.predict(data[0])
    np.testing.assert_allclose(first, model(data[0]), rtol=1e-5, atol=1e-6)
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    np.testing.assert_array_equal(outcome.predict(data[0]), first)
    assert all((weight == 1).all() for weight in model.get_weights())
