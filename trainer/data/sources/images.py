"""Images in folders, a folder a class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Refused, Whole, refuse
from schedules.declaration.plain_files import open_plain

from ..files import File, missing, reading, unreadable
from ..input_preparation import Normalise
from ..inputs import Key
from ..raw_data import RawData, RawExamples, RawPart
from ..trees import leaves
from .image_size import dimensions, upright

Side = Annotated[Whole, Field(ge=1)]

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
"""The formats that TensorFlow decodes; of a GIF the first picture."""
TRAIN_FOLDERS = {"train", "training"}
TEST_FOLDERS = {"test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"}
"""How folders are called that hold a part of the examples, and classes inside of it."""
SIZES_CHECKED = 1000
"""How many images' sizes are checked before the images are read."""


class ImageFolder(RawData):
    """PNG, JPEG, BMP and GIF files in a folder for each class, as Keras and torch have them.

    The name of the folder is the class; its subfolders are read too. Other files, and names that
    begin with a dot, are left out. Images are decoded, turned as Exif says, and where `size` is
    given resized, with antialiased bilinear interpolation, to whole numbers from 0 to 255;
    `normalise` comes after. Folders named after parts of a data set are refused: they hold classes.
    """

    kind: Literal["image_folder"] = "image_folder"
    path: File
    """The folder of the classes' folders."""
    test: File | None = None
    """Another folder, of the same classes, to evaluate by; null to hold some images out."""
    size: tuple[Side, Side] | None = None
    """Height and width that every image is resized to; null where all have one size."""
    channels: Literal[1, 3] = 3
    """3 for colours, 1 for grey; images are converted."""
    normalise: Normalise = "pixels"
    """How inputs are brought to a size to train on; worked out on the training part alone."""

    @property
    def labels_override(self) -> tuple[str, object]:
        return "path", str(self.path)

    def has_test_part(self) -> bool:
        return self.test is not None

    def read(self) -> RawExamples:
        train = self._part("path", self.path, None)
        if self.test is None:
            return RawExamples(train, None)
        size = leaves(train.inputs)[0].shape[1:3]
        return RawExamples(train, self._part("test", self.test, size))

    def _part(self, path: str, folder: Path, train_size: tuple[int, ...] | None) -> RawPart:
        if not folder.is_dir():
            raise missing(path, folder, "folder")
        with reading(path, folder):
            classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
            classes = [name for name in classes if not name.startswith(".")]
            by_class = {name: list(image_files(folder / name)) for name in classes}
        if not train_size:
            _check_parts(path, folder, classes)
        if not classes:
            rule = "has no folders, and must have one for each class"
            raise refuse(path, str(folder), rule, "the folder's name is the class")
        for name, files in by_class.items():
            if not files:
                rule = f"has no images in its folder {name}"
                raise refuse(path, str(folder), rule, f"known endings: {' '.join(ENDINGS)}")
        files = [file for images in by_class.values() for file in images]
        labels = np.repeat(classes, [len(images) for images in by_class.values()])
        size = self.size or common_size(path, files, train_size)
        return RawPart(ImageFiles(files, size, self.channels, resize=self.size is not None), labels)


def common_size(
    path: str, files: Sequence[Path], train_size: tuple[int, ...] | None
) -> tuple[int, int]:
    """The size that all images have, by the headers of some of them."""
    expected = train_size
    first: Path | None = None
    for i in np.linspace(0, len(files) - 1, min(len(files), SIZES_CHECKED)).astype(int):
        with reading(path, files[i]):
            size = dimensions(files[i])
        if size is None:
            raise refuse(path, str(files[i]), "is no image, or not a whole one", "remove it")
        if expected is not None and size != expected:
            others = f"{first} is" if first else "the training images are"
            raise other_size(path, str(files[i]), size, expected, others)
        first, expected = first or files[i], expected or size
    assert expected is not None
    height, width = expected
    return height, width


class ImageFiles:
    """Images in files, decoded on demand, as `[n, height, width, channels]`."""

    def __init__(
        self, files: Sequence[Path], size: tuple[int, int], channels: int, *, resize: bool
    ) -> None:
        self.files = files
        self.shape = (len(files), *size, channels)
        self.dtype = np.dtype(np.uint8)
        self._resize = resize

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> NDArray[Any]:
        row_index = np.arange(len(self.files))[key]
        images = np.empty((len(row_index), *self.shape[1:]), self.dtype)

        def fill(i: int) -> None:
            images[i] = self._image(self.files[row_index[i]])

        for _ in self._pool.map(fill, range(len(row_index))):
            pass
        return images

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(os.cpu_count(), "pictures")

    def _image(self, file: Path) -> NDArray[np.uint8]:
        try:
            with open_plain(file) as opened:
                content = opened.read()
            return decode_image(content, self.shape[1:], resize=self._resize)
        except OSError as error:
            raise unreadable("path", file, error.strerror) from None
        except Refused as refused:
            [problem] = refused.problems
            raise refuse("path", str(file), problem.rule, problem.hint) from None


def decode_image(content: bytes, shape: tuple[int, ...], *, resize: bool) -> NDArray[np.uint8]:
    """An encoded image as `[height, width, channels]`, the way up that it is seen.

    Raises:
        Refused: when the image can't be decoded, or has another size and `resize` is false.
    """
    import tensorflow as tf

    height, width, channels = shape
    try:
        with tf.device("CPU"):
            image = tf.io.decode_image(content, channels, expand_animations=False)
            image = upright(image, content)
            if resize:
                image = tf.image.resize(image, [height, width], antialias=True)
                image = tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
    except tf.errors.InvalidArgumentError as error:
        reason = " ".join(error.message.partition("}} ")[2].partition(" [Op")[0].split())
        rule = f"can't be decoded: {reason or error.message}"
        raise refuse("", ABSENT, rule, "remove it") from None
    if tuple(image.shape[:2]) != (height, width):
        size = (int(image.shape[0]), int(image.shape[1]))
        raise other_size("", ABSENT, size, (height, width), "the others are")
    return np.asarray(image)


def _check_parts(path: str, folder: Path, names: Sequence[str]) -> None:
    """Refuses folders that are parts of a data set and no classes.

    They are where all are called so, or one to train on stands beside one to test on.
    """
    train = [name for name in names if name.lower() in TRAIN_FOLDERS]
    tests = [name for name in names if name.lower() in TEST_FOLDERS]
    if not (train and tests) and (not train + tests or len(train + tests) < len(names)):
        return
    parts = [*train, *tests]
    rule = f"holds {' and '.join(parts)}: parts of a data set, and no classes"
    tests.sort(key=lambda name: name.lower() != "test")
    overrides = [f"data.path={folder / (train or tests)[0]}"]
    if train and tests:
        overrides.append(f"data.test={folder / tests[0]}")
    raise refuse(path, str(folder), rule, " ".join(overrides))


def image_files(folder: Path, endings: Sequence[str] = ENDINGS) -> Iterator[Path]:
    """The images in a folder and in its subfolders, in the order of their names."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(tuple(endings)) and not name.startswith("."):
                yield Path(place, name)


def other_size(
    path: str, value: object, size: tuple[int, ...], expected: tuple[int, ...], others: str
) -> Refused:
    """The refusal of an image of another size; `others` names the images that it differs from."""
    (h, w), (height, width) = size, expected
    rule = f"is {h}x{w}, and {others} {height}x{width} (height x width)"
    return refuse(path, value, rule, f"data.size=[{height},{width}] resizes them all")
