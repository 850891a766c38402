"""The header of an image file: its size, and which way up it is seen."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP")
"""The formats that TensorFlow decodes, by their names in Pillow."""

warnings.filterwarnings("ignore", "Corrupt EXIF data")
# Pillow warns as it opens the file; in the threads that decode, no block could catch it.

MIRRORED = {2: [1], 3: [0, 1], 4: [0], 6: [1], 7: [0, 1], 8: [0]}
"""The axes to reverse for an orientation, after rows and columns change places for 5 and above."""


class Header(NamedTuple):
    """What the header of an image file says."""

    height: int
    """The height as the image is seen."""
    width: int
    """The width as the image is seen."""
    orientation: int
    """Exif's orientation from 1 to 8 (Exif 2.32, 4.6.5.1.6): cameras write the pixels as the sensor
    lies, and how it was held. TensorFlow and Keras leave it out."""
    is_jpeg: bool


def header(image: Path | bytes) -> Header | None:
    """The header of a PNG, JPEG, GIF or BMP; None for any other file."""
    with BytesIO(image) if isinstance(image, bytes) else image.open("rb") as opened:
        if (picture := _opened(opened)) is None:
            return None
        width, height = picture.size
        orientation = orientation_of(picture)
        seen = (width, height) if orientation >= 5 else (height, width)
        return Header(*seen, orientation, picture.format in ("JPEG", "MPO"))


def dimensions(image: Path | bytes) -> tuple[int, int] | None:
    """Height and width of a PNG, JPEG, GIF or BMP as it is seen; None for any other file."""
    found = header(image)
    return None if found is None else (found.height, found.width)


def _opened(file: BinaryIO) -> Image | None:
    """An image of which Pillow has read the header alone; None where it knows no such header."""
    import PIL.Image

    try:
        return PIL.Image.open(file, formats=FORMATS)
    except PIL.Image.DecompressionBombError:
        return None
    except OSError as error:
        if error.errno:  # the disk's, and not Pillow's own
            raise
        return None


def orientation_of(picture: Image) -> int:
    """Exif's orientation from 1 to 8; 1, upright, where there is none that makes sense."""
    from PIL import ExifTags
    from PIL.Image import Image

    try:
        # That of the class itself: a PNG's own decodes all pixels to look for Exif behind them.
        orientation = Image.getexif(picture).get(ExifTags.Base.Orientation)
    except Exception:  # damaged Exif, for which Pillow has many errors; viewers leave it out
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
