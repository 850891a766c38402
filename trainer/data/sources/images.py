"""Images in folders, a folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from schedules.declaration import Problem, Refused, refuse

from ..files import File, missing, reading, unreadable
from ..input_preparation import Normalise
from ..inputs import Inputs
from ..raw_examples import RawExamples
from ..raw_part import RawPart
from ..trees import Tree, leaves
from .encoded_images import EncodedImages
from .image_decoding import Decoding, other_size
from .image_listing import (
    ENDINGS,
    ImageFile,
    content_identity,
    fingerprint,
    image_files,
    listed_file,
    listing_digest,
    read_listed,
)
from .image_size import dimensions
from .raw_images import RawImages

TRAIN_FOLDERS = {"train", "training"}
TEST_FOLDERS = {"test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"}
"""How folders are called that hold a part of the examples, and classes inside of it."""
Shape = tuple[int, ...]
SIZES_CHECKED = 1000
"""How many images' sizes are checked before the images are read."""


class ImageFolder(RawImages):
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
    normalise: Normalise = "pixels"
    """How inputs are brought to a size to train on; worked out on the training part alone."""

    @property
    def labels_override(self) -> tuple[str, object]:
        return "path", str(self.path)

    def has_test_part(self) -> bool:
        return self.test is not None

    def has_labels(self, columns: Sequence[str]) -> bool:
        """Whether there are folders for classes, and not images alone."""
        if not self.path.is_dir():
            return True  # `read` says what is wrong
        with reading("path", self.path):
            entries = [one for one in os.scandir(self.path) if not one.name.startswith(".")]
        return any(one.is_dir() for one in entries) or not any(
            one.name.lower().endswith(ENDINGS) for one in entries
        )

    def unlabelled(self, columns: Sequence[str]) -> Tree[Inputs]:
        return images_at("path", self.path, self)

    def read(self) -> RawExamples:
        train = self._part("path", self.path, None)
        if self.test is None:
            return RawExamples(train, None)
        size = leaves(train.inputs)[0].shape[1:3]
        return RawExamples(train, self._part("test", self.test, size))

    def _part(self, path: str, folder: Path, train_size: tuple[int, ...] | None) -> RawPart:
        if not folder.is_dir():
            raise missing(path, folder, "folder")
        listed = self.listing_time()
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
        listing = listing_digest(files)
        size = self.size or self.checked(
            f"size {train_size}", listing, lambda: common_size(path, files, train_size)
        )
        decoding = self.decoding(size)
        images = ImageFiles(files, decoding, listed=listed)
        return RawPart(self.kept(images, decoding, listing), labels)


def common_size(
    path: str, files: Sequence[ImageFile], train_size: tuple[int, ...] | None
) -> tuple[int, int]:
    """The size that all images have, by the headers of some of them."""
    expected = train_size
    first = ""
    for i in np.linspace(0, len(files) - 1, min(len(files), SIZES_CHECKED)).astype(int):
        file = Path(files[i].path)
        with reading(path, file):
            size = dimensions(file)
        if size is None:
            raise refuse(path, str(file), "is no image, or not a whole one", "remove it")
        if expected is not None and size != expected:
            others = f"{first} is" if first else "the training images are"
            problem = other_size(size, expected, others)
            raise refuse(path, str(file), problem.rule, problem.hint)
        first, expected = first or str(file), expected or size
    assert expected is not None
    height, width = expected
    return height, width


def images_at(field: str, place: Path, data: RawImages | None, shape: Shape = ()) -> ImageFiles:
    """The images in a file or a folder, decoded and resized as those of `data` are.

    Where nothing resizes them they must have the height and the width that `shape` begins with.

    Raises:
        Refused: under `field`, when there are none, or of another size.
    """
    with reading(field, place):
        own = listed_file(place)
    files = list(image_files(place)) if place.is_dir() else [own]
    if not files:
        raise refuse(field, str(place), "has no images", f"known endings: {' '.join(ENDINGS)}")
    size = None if data is None else data.size
    if size is None:
        try:
            size = common_size(field, files, shape[:2] or None)
        except Refused as refused:
            if data is not None:
                raise
            [problem] = refused.problems  # which has the option of data that resizes
            raise refuse(field, problem.value, problem.rule, "resize it first") from None
    decoding = Decoding((*size, shape[2]), None) if data is None else data.decoding(size)
    return ImageFiles(files, decoding, field)


class ImageFiles(EncodedImages):
    """Images in files, read on demand; `field` says where the files were named."""

    def __init__(
        self,
        files: Sequence[ImageFile],
        decoding: Decoding,
        field: str = "path",
        *,
        listed: int = 0,
    ) -> None:
        """`listed` is when files were looked for, in nanoseconds; 0 if none is to be remembered."""
        super().__init__(len(files), decoding)
        self._files = files
        self._field = field
        self._listed = listed
        self.changed = ""
        """A file that was no longer the listed one when it was read; "" where all were."""

    @cached_property
    def identity(self) -> str | None:
        """What tells that the images are the same, without a look at them."""
        identity = content_identity(self._files, self._listed)
        return identity and fingerprint(self.decoding, identity)

    @property
    def names(self) -> list[str]:
        """The files, an image each."""
        return [file.path for file in self._files]

    def content(self, row: int) -> bytes:
        file = self._files[row]
        try:
            content, is_listed = read_listed(file)
        except OSError as error:
            raise unreadable(self._field, Path(file.path), error.strerror) from None
        if not is_listed:
            self.changed = file.path
        return content

    def refusal(self, row: int, problem: Problem) -> Refused:
        return refuse(self._field, self._files[row].path, problem.rule, problem.hint)


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
