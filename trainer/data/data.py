"""What a data set is: a frozen declaration that says what it holds, and loads it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from pydantic import Field

from schedules.declaration import Kind, Whole

from .examples import Facts, Split


class Data(Kind, family=True):
    """A data set, and how many of its examples make one update."""

    batch_size: Annotated[Whole, Field(ge=1)] = 64
    """Examples an update."""

    @abstractmethod
    def facts(self) -> Facts:
        """What is known before loading.

        It is asked for often and before TensorFlow is imported, so it reads no more than it must,
        and once.
        """

    @abstractmethod
    def load(self) -> Split:
        """The examples, prepared."""
