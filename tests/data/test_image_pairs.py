"""Images beside masks or target images: paired by name, read on demand, in the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from schedules import Refused
from tests.helpers.runs import experiment, result, rows, trained
from trainer.data import Data
from trainer.data.on_disk import Stored
from trainer.data.sources.image_pairs import ImagePairs
from trainer.data.summary import summary

RANDOM = np.random.default_rng(3)
INSIDE = RANDOM.random((40, 2, 2)).round().repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
PHOTOS = (40 + 150 * INSIDE[..., None] + RANDOM.integers(0, 40, (40, 8, 8, 3))).astype(np.uint8)


def written(folder: Path, name: str, images: Any, ending: str = "png", **settings: Any) -> None:
    for i, image in enumerate(images):
        file = folder / name / ("even" if i % 2 else "odd") / f"{i}.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(image, **settings).save(file)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "photos", PHOTOS)
    written(tmp_path, "masks", 255 * INSIDE)
    written(tmp_path, "clean", 255 * INSIDE)
    return tmp_path


def declared(**more: Any) -> Data:
    given = {"kind": "image_pairs", "path": "photos", "targets": "masks", **more}
    return Data.declared(given)


def in_order(array: Any) -> Any:
    """The examples as the names of their files come: even/1, even/11, …, odd/0, odd/10, …"""
    names = sorted(range(len(array)), key=lambda i: ("even" if i % 2 else "odd", f"{i}.png"))
    return np.asarray(array)[names]


def everything(data: Data) -> tuple[Any, Any]:
    """All inputs and labels, as they train: the same pairs are given as tests."""
    train = data.load().train
    return np.asarray(train.inputs), np.asarray(train.labels)


@pytest.mark.parametrize("keep", ["device", "stream"])
def test_files_of_one_name_are_a_pair(keep: str, here: Path) -> None:
    data = declared(test="photos", test_targets="masks", keep=keep)
    assert data.facts().label.outputs == (8, 8, 2)
    assert "2 classes at each of [8, 8] places: 0 value 0, 1 value 255" in summary(data)[1]
    split = data.load()
    assert isinstance(split.train.labels, Stored) == (keep == "stream")
    split.check(data.facts())
    inputs, labels = everything(data)
    np.testing.assert_array_equal(inputs, in_order(PHOTOS).astype(np.float32) / 255)
    np.testing.assert_array_equal(labels, in_order(INSIDE))
    assert labels.dtype == np.int32


@pytest.mark.parametrize(("classes", "dtype"), [(2, "uint8"), (256, "uint8"), (257, "uint16")])
def test_a_class_takes_as_few_bytes_as_it_can_on_the_disk(
    classes: int, dtype: str, here: Path
) -> None:
    values = [0, 255, *range(1, 255), *range(256, 300)][:classes]
    data = declared(values=values)
    assert isinstance(data, ImagePairs)
    [part] = data.contents.raw.parts
    assert part.labels is not None
    assert part.labels.dtype == dtype
    np.testing.assert_array_equal(part.labels[:], in_order(INSIDE))


def test_target_images_are_numbers_at_each_place(here: Path) -> None:
    given = {"targets": "clean", "labels": "images", "channels": 1}
    data = declared(**given, test="photos", test_targets="clean")
    assert data.facts().label.outputs == (8, 8, 1)
    np.testing.assert_array_equal(everything(data)[1], in_order(INSIDE)[..., None])
    plain = declared(**given, test="photos", test_targets="clean", normalise="none")
    assert everything(plain)[1].max() == 255


def palette(image: Any) -> PIL.Image.Image:
    picture = PIL.Image.fromarray(image, "L").convert("P")
    picture.putdata(image.ravel().tolist())
    picture.putpalette([7, 0, 90, 200, 30, 0, 0, 99, 1])
    return picture


@pytest.mark.parametrize(
    ("save", "more", "values"),
    [
        (lambda x: palette(x), {}, (0, 1)),
        (lambda x: PIL.Image.fromarray(x * 255).convert("1"), {}, (0, 1)),
        (lambda x: PIL.Image.fromarray(x * 100).convert("RGB"), {}, (0, 100)),
        (lambda x: PIL.Image.fromarray(x * 7).convert("LA"), {"values": [7, 0, 3]}, (7, 0, 3)),
        (lambda x: PIL.Image.fromarray(x), {"classes": 3}, (0, 1, 2)),
    ],
    ids=["palette", "bits", "grey in RGB", "grey and alpha", "class numbers"],
)
def test_a_mask_is_read_by_its_values(save: Any, more: Any, values: Any, here: Path) -> None:
    for file in (here / "masks").rglob("*.png"):
        save(INSIDE[int(file.stem)]).save(file)
    data = declared(**more, test="photos", test_targets="masks")
    assert data.facts().label.classes == len(values)
    met = (0, next(v for v in (1, 100, 7) if v in values))
    expected = np.where(in_order(INSIDE) == 1, values.index(met[1]), values.index(0))
    np.testing.assert_array_equal(everything(data)[1], expected)


def test_pairs_are_resized_together_and_masks_to_the_nearest_pixel(here: Path) -> None:
    data = declared(size=[4, 2], test="photos", test_targets="masks")
    inputs, labels = everything(data)
    assert inputs.shape[1:] == (4, 2, 3)
    np.testing.assert_array_equal(labels, in_order(INSIDE)[:, 1::2, 2::4])


RUN = ("data=image_pairs", "data.path=photos", "model=unet", "model.depth=1", "model.width=4",
       "data.batch_size=8", "optimizer=adam", "schedule.initial_value=0.02", "run.length=24",
       "run.steps_per_call=5", "evaluate.every=8", "~log.tensorboard")  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        ("data.targets=masks", "loss.class_weights=balanced"),
        pytest.param(
            ("data.targets=clean", "data.labels=images", "data.channels=1"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["masks", "images"],
)
def test_a_run_has_the_same_bits_streamed_and_resident(more: tuple[str, ...], here: Path) -> None:
    vary = "data.augment={flip: both, rotate: 10, noise: 0.02}"
    for keep in ("device", "stream"):
        assert trained(here / keep, *RUN, *more, vary, f"data.keep={keep}") == 0
    first, second = result(here / "device"), result(here / "stream")
    for digest in ("weights_digest", "data_digest"):
        assert first[digest] == second[digest]
    assert rows(here / "device") == rows(here / "stream")
    broken = (*RUN, *more, vary, "data.keep=stream")
    trained(here / "broken", *broken, "run.stop_after=11")
    trained(here / "broken", *broken)
    assert result(here / "broken")["weights_digest"] == first["weights_digest"]
    if "data.targets=masks" in more:
        assert first["metrics"]["eval_accuracy"] > 0.9


def test_refusals_name_the_files(here: Path) -> None:
    def message(**more: Any) -> str:
        with pytest.raises(Refused) as refused:
            declared(**more).facts()
        return str(refused.value)

    (here / "masks" / "odd" / "4.png").rename(here / "kept.png")
    assert "photos/odd/4.png': has no partner in" in message()
    assert "none is called odd/4 with .png .bmp .gif" in message()
    PIL.Image.fromarray(INSIDE[4]).save(here / "masks" / "odd" / "4.jpg")
    assert "hint: .jpg does not keep the values of masks: save odd/4.png" in message()
    (here / "kept.png").rename(here / "masks" / "odd" / "4.png")
    (here / "photos" / "odd" / "4.png").rename(here / "kept.png")
    assert "masks/odd/4.png': has no partner in" in message()
    (here / "kept.png").rename(here / "photos" / "odd" / "4.png")

    PIL.Image.fromarray(INSIDE[4][:6]).save(here / "masks" / "odd" / "4.png")
    assert "masks/odd/4.png': is 6x8, and its partner" in message()
    PIL.Image.fromarray(PHOTOS[4]).save(here / "masks" / "odd" / "4.png")
    assert "masks/odd/4.png': is in colours" in message()
    assert "hint: save masks as grey" in message()
    PIL.Image.fromarray(PHOTOS[4]).save(here / "photos" / "odd" / "4.bmp")
    assert "has the name of" in message()
    (here / "photos" / "odd" / "4.bmp").unlink()
    PIL.Image.fromarray(INSIDE[4] + 9).save(here / "masks" / "odd" / "4.png")
    data = declared(values=[0, 255])
    with pytest.raises(Refused, match=r"4.png': has the value (9|10), .*0,255(?s:.*)=\[0,255,"):
        data.load()
    assert "is no folder" in message(targets="mask")
    (here / "empty").mkdir()
    assert "has no images" in message(targets="empty")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"test": "photos"}, "test_targets: is required beside test"),
        ({"labels": "images", "values": [0, 1]}, "values = .*is for masks"),
        ({"values": [0, 0]}, "values = .*has a value twice"),
        ({"values": [0, 1], "classes": 3}, "classes = 3: differs from the 2 values"),
        ({"task": "regression"}, "task = 'regression': follows from labels"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(more: Any, message: str, here: Path) -> None:
    with pytest.raises(Refused, match=message):
        declared(**more)


def test_it_is_refused_where_the_model_gives_one_label(here: Path) -> None:
    asked = ("data=image_pairs", "data.path=photos", "data.targets=masks")
    for model in ("mlp", "cnn"):
        one = experiment(*asked, f"model={model}")
        with pytest.raises(Refused, match="2 classes at each of"):
            one.model.check(one.data.facts())
