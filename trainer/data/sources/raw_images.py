"""What all data with images declares: how they are resized, and where they are kept decoded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schedules.declaration import Problem, Whole, refuse

from ..files import cache_folder
from ..inputs import Inputs
from ..kept_rows import KeptRows, Place, size_text
from ..notes import Notes
from ..raw_data import RawData
from .image_decoding import Decoding, Resize
from .image_listing import fingerprint

T = TypeVar("T")

Side = Annotated[Whole, Field(ge=1)]

CACHE_SHARE = 0.25
"""The share of the free disk that decoded images take in the user's cache folder, all together."""


def _cache(value: object) -> object:
    if value is False:  # as YAML reads `off`
        return "off"
    if value in ("auto", "off"):
        return value
    if isinstance(value, (str, Path)) and str(value):
        return str(Path(value).expanduser().absolute())
    rule = "must be auto, off or a folder"
    raise PydanticCustomError("cache", rule, {"hint": "data.cache=auto"})


class RawImages(RawData):
    """Images that are decoded, and resized where they are of several sizes."""

    size: tuple[Side, Side] | None = None
    """Height and width that every image is resized to; null where all have one size."""
    channels: Literal[1, 3] = 3
    """3 for images in colours, 1 for grey; they are converted."""
    resize: Resize = "exact"
    """How, with `size`: `exact`, from all pixels; `fast`: JPEGs are decoded at 1/2, 1/4 or 1/8 of
    their size where that is no less than `size`, which gives slightly other pixels, sooner."""
    cache: Annotated[str, BeforeValidator(_cache)] = "auto"
    """Where images are kept as they were decoded and resized, for later epochs and runs.

    `auto`: in the user's cache folder, where all take at most a quarter of the free disk; a folder:
    there, as far as its disk goes; `off`: nowhere. The bits are the same whichever way.
    """

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.resize == "fast" and self.size is None:
            rule = "is for images that are resized"
            yield Problem("resize", "fast", rule, "data.size=[128,128] resizes them all")

    @property
    def decoding_resize(self) -> Resize | None:
        """How images are resized, if they are."""
        return None if self.size is None else self.resize

    def decoding(self, size: tuple[int, int]) -> Decoding:
        """What images of the data are to become."""
        return Decoding((*size, self.channels), self.decoding_resize)

    def listing_time(self) -> int:
        """When a listing that begins now is of, in nanoseconds; 0 where nothing is remembered."""
        return 0 if self.cache == "off" else time.time_ns()

    def checked(self, what: str, listing: str, check: Callable[[], T]) -> T:
        """What a check of files found, remembered for as long as they are the same.

        It must be something that JSON holds.
        """
        folder = None if self.cache == "off" else cache_folder()
        if folder is None:
            return check()
        notes = Notes(folder / "images")
        name = fingerprint(what, listing)
        found: T | None = notes.read(name)
        if found is None:
            found = check()
            notes.write(name, found)
        return found

    def kept(self, images: Inputs, what: object, listing: str) -> Inputs:
        """Images that are kept once they are decoded, by what was made of the files of a listing.

        Raises:
            Refused: when the folder that `cache` names can't be written to, or has no room.
        """
        if self.cache == "off" or not len(images):
            return images
        place = self._cache_place()
        if place is None:
            return images
        kept = KeptRows(images, place, fingerprint(what, listing))
        try:
            allowance = place.allowance()
        except OSError:
            return images
        if kept.size <= allowance:
            return kept
        if self.cache == "auto":
            return images
        rule = f"has room for {size_text(allowance)}, and the images take {size_text(kept.size)}"
        raise refuse("cache", self.cache, rule, "data.cache=off, or another folder")

    def _cache_place(self) -> Place | None:
        """Where decoded images are kept; None where the user's cache folder can't be written to."""
        is_own = self.cache == "auto"
        if is_own:
            user_folder = cache_folder()
            if user_folder is None:
                return None
            folder = user_folder / "images"
        else:
            folder = Path(self.cache)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return Place(folder, CACHE_SHARE if is_own else 1.0)
            error = "it can't be written to"
        except OSError as refused:
            error = refused.strerror or str(refused)
        if is_own:
            return None
        raise refuse("cache", self.cache, f"can't be used: {error}", "data.cache=auto")
