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

from ..files import File, missing, reading, unreadable
from ..inputs import Key
from ..preparation import Normalise
from ..raw_data import RawData, RawExamples, RawPart
from .image_size import dimensions

Side = Annotated[Whole, Field(ge=1)]

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
"""What TensorFlow decodes; of a GIF the first picture."""
LOOKED_AT = 1000
"""Images whose size is looked up before all are read."""


class ImageFolder(RawData):
    """PNG, JPEG, BMP and GIF files in folders whose names are the classes, as Keras' and torch's.

    The images of a class may lie in folders of its own. Other files, and those whose names begin
    with a dot, are left alone. Images are decoded, and where `size` is given resized, with
    antialiased bilinear interpolation, to whole numbers from 0 to 255; `normalise` comes after.
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
    def labelled(self) -> tuple[str, object]:
        return "path", str(self.path)

    def given(self) -> bool:
        return self.test is not None

    def found(self) -> RawExamples:
        train = self._part("path", self.path, None)
        if self.test is None:
            return RawExamples(train, None)
        return RawExamples(train, self._part("test", self.test, train.inputs.shape[1:3]))

    def _part(self, path: str, folder: Path, wanted: tuple[int, ...] | None) -> RawPart:
        if not folder.is_dir():
            raise missing(path, folder, "folder")
        with reading(path, folder):
            classes = sorted(one.name for one in os.scandir(folder) if one.is_dir())
            classes = [name for name in classes if not name.startswith(".")]
            by_class = {name: list(_images(folder / name)) for name in classes}
        if not classes:
            rule = "has no folders, and must have one for each class"
            raise refuse(path, str(folder), rule, "the folder's name is the class")
        for name, files in by_class.items():
            if not files:
                rule = f"has no images in its folder {name}"
                raise refuse(path, str(folder), rule, f"known endings: {' '.join(ENDINGS)}")
        files = [file for found in by_class.values() for file in found]
        labels = np.repeat(classes, [len(found) for found in by_class.values()])
        size = self.size or self._size(path, files, wanted)
        return RawPart(Pictures(files, size, self.channels, resize=self.size is not None), labels)

    def _size(
        self, path: str, files: Sequence[Path], wanted: tuple[int, ...] | None
    ) -> tuple[int, int]:
        """The size of all images, as far as the headers of some of them tell."""
        first: Path | None = None
        for i in np.linspace(0, len(files) - 1, min(len(files), LOOKED_AT)).astype(int):
            with reading(path, files[i]):
                found = dimensions(files[i])
            if found is None:
                raise refuse(path, str(files[i]), "is no image, or not a whole one", "remove it")
            if wanted is not None and found != wanted:
                than = f"{first} is" if first else "the training images are"
                raise other_size(path, str(files[i]), found, wanted, than)
            first, wanted = first or files[i], wanted or found
        assert wanted is not None
        height, width = wanted
        return height, width


class Pictures:
    """Images in files, decoded when they are asked for, as `[n, height, width, channels]`."""

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
        numbers = np.arange(len(self.files))[key]
        images = np.empty((len(numbers), *self.shape[1:]), self.dtype)

        def fill(i: int) -> None:
            images[i] = self._decoded(self.files[numbers[i]])

        for _ in self._pool.map(fill, range(len(numbers))):
            pass
        return images

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(os.cpu_count(), "pictures")

    def _decoded(self, file: Path) -> NDArray[np.uint8]:
        try:
            return decoded(file.read_bytes(), self.shape[1:], resize=self._resize)
        except OSError as error:
            raise unreadable("path", file, error.strerror) from None
        except Refused as refused:
            [problem] = refused.problems
            raise refuse("path", str(file), problem.rule, problem.hint) from None


def decoded(content: bytes, shape: tuple[int, ...], *, resize: bool) -> NDArray[np.uint8]:
    """An encoded image as `[height, width, channels]`.

    Raises:
        Refused: when it can't be decoded, or has another size and is not to be resized.
    """
    import tensorflow as tf

    height, width, channels = shape
    try:
        with tf.device("CPU"):
            image = tf.io.decode_image(content, channels, expand_animations=False)
            if resize:
                image = tf.image.resize(image, [height, width], antialias=True)
                image = tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
    except tf.errors.InvalidArgumentError as error:
        why = " ".join(error.message.partition("}} ")[2].partition(" [Op")[0].split())
        raise refuse("", ABSENT, f"can't be decoded: {why or error.message}", "remove it") from None
    if tuple(image.shape[:2]) != (height, width):
        found = (int(image.shape[0]), int(image.shape[1]))
        raise other_size("", ABSENT, found, (height, width), "the others are")
    return np.asarray(image)


def _images(folder: Path) -> Iterator[Path]:
    """The images in a folder and in its own, in the order of their names."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield Path(place, name)


def other_size(
    path: str, value: object, found: tuple[int, ...], wanted: tuple[int, ...], than: str
) -> Refused:
    """The refusal of an image that is not as large as others."""
    (h, w), (height, width) = found, wanted
    rule = f"is {h}x{w}, and {than} {height}x{width} (height x width)"
    return refuse(path, value, rule, f"data.size=[{height},{width}] resizes them all")
