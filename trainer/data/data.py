"""What a data set is: a frozen declaration that says what it holds, and loads it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from schedules.declaration import Kind, Whole

from .augment import Augment
from .examples import Facts, Split


class Data(Kind, family=True):
    """A data set, and how many of its examples make one update."""

    batch_size: Annotated[Whole, Field(ge=1)] = 64
    """Examples an update."""

    keep: Literal["auto", "device", "stream"] = "auto"
    """Where the examples are: on the device, or read while it is at work, for more than it holds.

    `auto`: on the device where they take less than a quarter of the free memory. Both give the
    same bits.
    """

    augment: Augment = Augment()
    """How training inputs are varied; nothing is, unless it is said here."""

    @abstractmethod
    def facts(self) -> Facts:
        """What is known before loading.

        It is asked for often and before TensorFlow is imported, so it reads no more than it must,
        and once.
        """

    @abstractmethod
    def load(self) -> Split:
        """The examples, prepared."""
