"""Masks in image files: a class at each place, told by a grey value or by a place in a palette."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..files import unreadable
from ..inputs import Key
from .image_listing import ImageFile, content_identity, fingerprint, read_listed
from .image_size import MIRRORED, orientation_of

MASK_ENDINGS = (".png", ".bmp", ".gif")
"""Formats that keep every value; JPEG does not."""
VALUES_LOOKED_FOR = 200
"""In how many masks, evenly spaced, values are looked for where none are declared."""
MOST_VALUES = 64
"""More values than so many are taken for a picture, and no mask."""

SHOWN = 50
"""How many characters of a path refusals show, from its end."""


class MaskFiles:
    """Masks in files, decoded on demand, as classes `[n, height, width]`."""

    def __init__(
        self,
        path: str,
        files: Sequence[ImageFile],
        size: tuple[int, int],
        values: Sequence[int],
        *,
        resize: bool,
        listed: int = 0,
    ) -> None:
        self.shape = (len(files), *size)
        self.dtype = np.min_scalar_type(len(values) - 1)  # a byte is enough for most
        self._path = path
        self._files = files
        self._resize = resize
        self.values = tuple(values)
        """The values of the classes 0, 1, 2 …"""
        self._values = np.asarray(values, np.int64)
        self._order = np.argsort(self._values)
        self._listed = listed
        self.changed = ""
        """A file that was no longer the listed one when it was read; "" where all were."""

    @cached_property
    def identity(self) -> str | None:
        """What tells that the masks are the same, without a look at them."""
        identity = content_identity(self._files, self._listed)
        what = ("masks", self.shape[1:], self.values, self._resize)
        return identity and fingerprint(what, identity)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, key: Key) -> NDArray[Any]:
        row_index = np.arange(len(self._files))[key]
        masks = np.empty((len(row_index), *self.shape[1:]), self.dtype)
        for mask, row in zip(masks, row_index, strict=True):
            mask[...] = self._classes(self._files[row])
        return masks

    def _classes(self, mask: ImageFile) -> NDArray[Any]:
        file = Path(mask.path)
        try:
            content, is_listed = read_listed(mask)
        except OSError as error:
            raise unreadable(self._path, file, error) from None
        if not is_listed:
            self.changed = mask.path
        pixels = mask_pixels(self._path, file, content)
        height, width = self.shape[1:]
        if self._resize:
            # The nearest pixel, as classes have nothing between them.
            y, x = (
                ((np.arange(to) + 0.5) * of / to).astype(int)
                for to, of in zip((height, width), pixels.shape, strict=True)
            )
            pixels = pixels[y[:, None], x]
        elif pixels.shape != (height, width):
            rule = f"is {pixels.shape[0]}x{pixels.shape[1]}, and the images are {height}x{width}"
            raise refuse(self._path, end_of(file), rule, f"data.size=[{height},{width}]")
        known = self._values[self._order]
        places = np.searchsorted(known, pixels).clip(max=len(known) - 1)
        if (unknown := known[places] != pixels).any():
            listed = ",".join(map(str, self._values))
            found = pixels[unknown][0]
            rule = f"has the value {found}, and the values of classes are {listed}"
            raise refuse(self._path, end_of(file), rule, f"data.values=[{listed},{found}]")
        classes: NDArray[Any] = self._order[places]
        return classes


def end_of(file: Path | str) -> str:
    """The end of a path, which tells files of one folder apart where refusals shorten values."""
    text = str(file)
    return text if len(text) <= SHOWN else f"…{text[-SHOWN:]}"


def mask_pixels(path: str, file: Path, content: bytes | None = None) -> NDArray[Any]:
    """The grey values of a mask, or its places in a palette, `[height, width]`, as it is seen.

    The `content` of the file is read where it is not given.

    Raises:
        Refused: when it can't be decoded, or is in colours.
    """
    import PIL.Image

    try:
        content = file.read_bytes() if content is None else content
        with PIL.Image.open(BytesIO(content)) as picture:
            turned = orientation_of(picture)
            pixels = np.asarray(picture)
    except (OSError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise unreadable(path, file, error) from None
    if pixels.ndim == 3:
        colours = pixels[..., :-1] if picture.mode in ("LA", "PA", "RGBA") else pixels
        if (colours != colours[..., :1]).any():
            rule = "is in colours, and a mask has one number at each place"
            hint = "save masks as grey or palette images; data.labels=images learns the colours"
            raise refuse(path, end_of(file), rule, hint)
        pixels = colours[..., 0]
    if turned >= 5:
        pixels = pixels.T
    return np.flip(pixels, tuple(MIRRORED.get(turned, []))).astype(np.int64)


def values_met(path: str, files: Sequence[ImageFile]) -> tuple[int, ...]:
    """The values that masks have, in some of them: those from 0 on where none is skipped.

    Raises:
        Refused: when there are too few for classes, or too many.
    """
    met: set[int] = set()
    chosen = np.linspace(0, len(files) - 1, min(len(files), VALUES_LOOKED_FOR)).astype(int)
    for i in chosen:
        met.update(np.unique(mask_pixels(path, Path(files[i].path))).tolist())
        if len(met) > MOST_VALUES:
            rule = f"has masks of more than {MOST_VALUES} values: a picture?"
            hint = "data.labels=images learns numbers; data.values=[0,255] names those of classes"
            raise refuse(path, str(Path(files[i].path).parent), rule, hint)
    if len(met) < 2:
        rule = f"has masks of one value only, {min(met)}, in {len(chosen)} of them"
        raise refuse(
            path, str(Path(files[0].path).parent), rule, "data.values=[0,255] names several"
        )
    return tuple(sorted(met))
