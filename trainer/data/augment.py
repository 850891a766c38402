"""The declaration of data augmentation: how training inputs are varied at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from schedules.declaration import Declaration, Float32, Whole, refuse

from .facts import Facts
from .trees import leaves, named_leaves

Size = Annotated[Whole, Field(ge=1)]
Strength = Annotated[Float32, Field(gt=0)]


class Augment(Declaration):
    """Random changes to the training examples, made in the order of these fields; null: not made.

    What moves pixels (`flip`, `rotate`, `crop`) moves those of inputs, and by the same random
    numbers those of labels that have the places of the image: masks, target images, and inputs that
    are to be given back. Masks take the class of the nearest pixel, and 0 from beyond the edge. The
    other changes are made to inputs alone, so that a network that is to give them back learns to
    undo these. Labels of whole images stay.

    The random numbers of an example depend on `run.seed`, the step and its place in the batch
    alone: a continued run repeats them, and so do micro-batches and replicas. Augmentation happens
    on the device, after the preparation, and never to test examples. Pixels from beyond the edge of
    an image are 0.
    """

    flip: Literal["horizontal", "vertical", "both"] | None = None
    """Mirrors every other image, on average; `both`: each way by itself."""
    rotate: Annotated[Float32, Field(gt=0, le=180)] | None = None
    """Turns about the centre by up to so many degrees, either way, between pixels linearly."""
    crop: Size | None = None
    """Shifts by up to so many pixels each way: pads with them, and cuts the old size out."""
    contrast: Annotated[Float32, Field(gt=0, le=1)] | None = None
    """Scales what differs from a channel's mean by 1 - c … 1 + c."""
    brightness: Strength | None = None
    """Adds one number from -b … b to the whole image, in the units of what was prepared."""
    noise: Strength | None = None
    """Adds normal noise of this standard deviation to every number; inputs need be no images."""
    cutout: Size | None = None
    """Blanks a square of so many pixels, its centre anywhere (DeVries & Taylor, 1708.04552)."""

    def check(self, facts: Facts) -> None:
        """Checks that the inputs can be varied as declared.

        Raises:
            Refused: when a change is for images only, or larger than the image.
        """
        declared = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if not declared:
            return
        if len(leaves(facts.inputs)) > 1:
            assert isinstance(facts.inputs, Mapping)
            rule = f"is for data with one input, and this has {', '.join(facts.inputs)}"
            raise refuse(declared[0], getattr(self, declared[0]), rule, "leave it out")
        shape = facts.shape
        if len(shape) != 3:
            for name in declared:
                if name != "noise":
                    rule = f"is for images [height, width, channels], and inputs are {list(shape)}"
                    hint = "data.shape gives inputs another shape; data.augment.noise suits any"
                    raise refuse(name, getattr(self, name), rule, hint)
            return
        height, width, _ = shape
        self._check_labels(facts)
        if self.crop is not None and self.crop >= min(height, width):
            rule = f"would shift images of {height}x{width} out of sight"
            raise refuse(
                "crop", self.crop, rule, f"data.augment.crop={min(height, width) // 8 or 1}"
            )
        if self.cutout is not None and self.cutout >= 2 * min(height, width):
            rule = f"would blank all of an image of {height}x{width}"
            hint = f"data.augment.cutout={min(height, width) // 3 or 1}"
            raise refuse("cutout", self.cutout, rule, hint)
        if self.rotate is not None and min(height, width) < 2:
            raise refuse("rotate", self.rotate, f"needs more than an image of {height}x{width}")

    def _check_labels(self, facts: Facts) -> None:
        """Checks that what moves pixels can move those of every label with places.

        Raises:
            Refused: when a label has other places than the image.
        """
        for name, label in named_leaves(facts.labels):
            places = label.shape[:2]
            if self.moves and len(label.shape) > 1 and places != facts.shape[:2]:
                of = f" {name}" if name else ""
                rule = (
                    f"moves the pixels of images of {facts.shape[0]}x{facts.shape[1]}, and the "
                    f"label{of} has {places[0]}x{places[1]} places, which would not go with them"
                )
                raise refuse(self.moves[0], getattr(self, self.moves[0]), rule, "leave it out")

    @property
    def moves(self) -> list[str]:
        """The declared changes that move pixels."""
        return [name for name in ("flip", "rotate", "crop") if getattr(self, name) is not None]

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in type(self).model_fields)
