"""Images beside images: a folder of inputs, and one of masks or of what they are to become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from schedules.declaration import ABSENT, Problem, Whole, refuse

from ..files import File, missing, reading
from ..input_preparation import InputPreparation, Normalise
from ..kept_rows import source_of
from ..labels import Labels
from ..raw_examples import RawExamples
from ..raw_part import RawPart
from ..trees import Tree, leaves
from .image_listing import ENDINGS, ImageFile, image_files, listing_digest
from .image_size import dimensions
from .images import SIZES_CHECKED, ImageFiles, common_size
from .masks import MASK_ENDINGS, MaskFiles, end_of, values_met
from .raw_images import RawImages

Value = Annotated[Whole, Field(ge=0)]


class ImagePairs(RawImages):
    """A folder of images beside one of masks, or of target images; those of one name are a pair.

    Names are compared without their endings, with the subfolders that they are in. A mask is a PNG,
    BMP or GIF file with a class at each place, told by its grey value or its place in the palette.
    Target images are in the formats of inputs. Images are turned as Exif says, and where `size` is
    given both of a pair are resized: images between pixels, masks to the nearest one.
    """

    kind: Literal["image_pairs"] = "image_pairs"
    path: File
    """The folder of the inputs."""
    targets: File
    """The folder of the masks, or of the target images."""
    labels: Literal["masks", "images"] = "masks"
    """`masks`: a class at each place; `images`: the numbers of an image, `channels` at each place.

    Target images are divided by 255, and with `normalise=none` stay as they are.
    """
    values: Annotated[tuple[Value, ...], Field(min_length=2)] | None = None
    """The values in masks of the classes 0, 1, 2 …, such as [0, 255]; null: `classes` from 0 on,
    or those met in 200 masks that are evenly spaced."""
    test: File | None = None
    """Another folder of inputs, to evaluate by; null to hold some pairs out."""
    test_targets: File | None = None
    """The folder of the masks or target images of `test`."""
    normalise: Normalise = "pixels"
    """How inputs are brought to a size to train on; worked out on the training part alone."""

    @property
    def labels_override(self) -> tuple[str, object]:
        return "targets", str(self.targets)

    def has_test_part(self) -> bool:
        return self.test is not None

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if (self.test is None) != (self.test_targets is None):
            given, lacking = ("test", "test_targets") if self.test else ("test_targets", "test")
            rule = f"is required beside {given}"
            yield Problem(lacking, ABSENT, rule, f"data.{lacking}=FOLDER")
        if self.labels == "images":
            for name in ("values", "classes"):
                if (value := getattr(self, name)) is not None:
                    rule = "is for masks, and labels are images"
                    yield Problem(name, value, rule, "data.labels=masks, or leave it out")
        if self.task != "auto":
            yield Problem("task", self.task, "follows from labels", f"data.labels={self.labels}")
        if self.shape is not None:
            yield Problem("shape", list(self.shape), "follows from size and channels", "data.size")
        if self.values and len(set(self.values)) < len(self.values):
            yield Problem("values", list(self.values), "has a value twice", "one for each class")
        if self.values and self.classes not in (None, len(self.values)):
            rule = f"differs from the {len(self.values)} values"
            yield Problem("classes", self.classes, rule, "leave out one of the two")

    def read(self) -> RawExamples:
        train = self._part("path", self.path, "targets", self.targets, None)
        if self.test is None or self.test_targets is None:
            return RawExamples(train, None)
        height, width = leaves(train.inputs)[0].shape[1:3]
        test = self._part("test", self.test, "test_targets", self.test_targets, (height, width))
        return RawExamples(train, test)

    def _labels(self, raw: RawExamples) -> Tree[Labels]:
        parts: tuple[Any, ...] = tuple(part.labels for part in raw.parts)
        shape = tuple(parts[0].shape[1:])
        masks = source_of(parts[0])
        if not isinstance(masks, MaskFiles):
            scale = 1.0 if self.normalise == "none" else 255.0
            return Labels(parts, None, None, InputPreparation(shape, scale=(scale,)))
        values = masks.values
        is_numbered = values == tuple(range(len(values)))
        names = None if is_numbered else tuple(f"value {value}" for value in values)
        return Labels(parts, len(values), names, InputPreparation(shape, dtype="int32"))

    def _part(
        self,
        path: str,
        folder: Path,
        targets_path: str,
        targets: Path,
        train_size: tuple[int, int] | None,
    ) -> RawPart:
        endings = MASK_ENDINGS if self.labels == "masks" else ENDINGS
        listed = self.listing_time()
        inputs = _by_name(path, folder, ENDINGS)
        partners = _by_name(targets_path, targets, endings)
        for name, file in inputs.items():
            if name not in partners:
                rule = (
                    f"has no partner in {targets}: none is called {name} with {' '.join(endings)}"
                )
                hint = _partner_hint(name, targets, endings)
                raise refuse(path, end_of(file.path), rule, hint)
        for name, file in partners.items():
            if name not in inputs:
                rule = f"has no partner in {folder}: none is called {name}"
                hint = "remove it, or add what it belongs to"
                raise refuse(targets_path, end_of(file.path), rule, hint)
        files, target_files = list(inputs.values()), [partners[name] for name in inputs]
        listing, target_listing = listing_digest(files), listing_digest(target_files)
        size = self.size or self.checked(
            f"size {train_size}", listing, lambda: common_size(path, files, train_size)
        )
        self.checked(
            "partners",
            f"{listing} {target_listing}",
            lambda: check_partners(targets_path, files, target_files),
        )
        decoding = self.decoding(size)
        images = self.kept(ImageFiles(files, decoding, listed=listed), decoding, listing)
        labels: MaskFiles | ImageFiles = ImageFiles(target_files, decoding, listed=listed)
        what: object = decoding
        if self.labels == "masks":
            values = self._values(target_files) if path == "path" else self._train_values
            resize = self.size is not None
            labels = MaskFiles(
                targets_path, target_files, size, values, resize=resize, listed=listed
            )
            what = ("masks", labels.shape, values, resize, labels.dtype.name)
        return RawPart(images, self.kept(labels, what, target_listing))

    def _values(self, files: Sequence[ImageFile]) -> tuple[int, ...]:
        """The values of the classes, as they are declared or met."""
        if self.values is not None:
            return self.values
        if self.classes is not None:
            return tuple(range(self.classes))
        listing = listing_digest(files)
        return tuple(self.checked("values", listing, lambda: values_met("targets", files)))

    @property
    def _train_values(self) -> tuple[int, ...]:
        return self._values(list(_by_name("targets", self.targets, MASK_ENDINGS).values()))


def _by_name(path: str, folder: Path, endings: Sequence[str]) -> dict[str, ImageFile]:
    """The images in a folder by their names without endings, subfolders before them."""
    if not folder.is_dir():
        raise missing(path, folder, "folder")
    by_name: dict[str, ImageFile] = {}
    with reading(path, folder):
        for file in image_files(folder, endings):
            name = str(Path(file.path).relative_to(folder).with_suffix(""))
            if name in by_name:
                rule = f"has the name of {by_name[name].path}, but for the ending"
                raise refuse(path, end_of(file.path), rule, "rename or remove one")
            by_name[name] = file
    if not by_name:
        raise refuse(path, str(folder), "has no images", f"known endings: {' '.join(endings)}")
    return by_name


def _partner_hint(name: str, targets: Path, endings: Sequence[str]) -> str:
    """What to do for a name without a partner: another format is the likeliest."""
    for ending in ENDINGS:
        if ending not in endings and (targets / f"{name}{ending}").exists():
            return f"{ending} does not keep the values of masks: save {name}.png"
    return "remove it, or add its partner"


def check_partners(path: str, files: Sequence[ImageFile], targets: Sequence[ImageFile]) -> int:
    """Checks of some pairs, evenly spaced, that both images have one size; how many it checked."""
    chosen = np.linspace(0, len(files) - 1, min(len(files), SIZES_CHECKED)).astype(int)
    for i in chosen:
        file, target = Path(files[i].path), Path(targets[i].path)
        with reading(path, target):
            size, other = dimensions(target), dimensions(file)
        if size is None:
            raise refuse(path, end_of(target), "is no image, or not a whole one", "remove it")
        if other is not None and size != other:
            rule = f"is {size[0]}x{size[1]}, and its partner {file} is {other[0]}x{other[1]}"
            raise refuse(path, end_of(target), rule, "both of a pair must have the same places")
    return len(chosen)
