"""What a data set is: a frozen declaration that says what the data holds, and loads it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from schedules.analysis.lint import Finding
from schedules.declaration import Kind, Whole

from .augment import Augment
from .examples import Split
from .facts import Facts
from .on_disk import fits_in_memory
from .trees import Tree


class Data(Kind, family=True):
    """A data set, and how many of its examples make one update."""

    key_hints: ClassVar[Mapping[str, str]] = {
        "window": "data=csv, parquet, npz, npy or python takes windows over rows",
        "ragged": "data=parquet, tfrecord, huggingface, tfds or python has rows of several lengths",
        "buckets": "data=parquet, csv, tfrecord, huggingface, tfds or python has such rows",
    }
    """What to type for what this kind of data has not."""

    batch_size: Annotated[Whole, Field(ge=1)] = 64
    """Examples an update."""

    keep: Literal["auto", "device", "stream"] = "auto"
    """Where the examples stay: on the device, or on the host, and then batches are streamed.

    `auto`: on the device where they take less than a quarter of the free memory. Both give the
    same bits.
    """

    augment: Augment = Augment()
    """How training examples are varied; by default they are not."""

    @abstractmethod
    def facts(self) -> Facts:
        """What is known before loading.

        Facts are read often, and before TensorFlow is imported. An implementation reads as little
        as possible, and reads it once.
        """

    def known_labels(self) -> Tree[Any] | None:
        """The labels as a loss takes them, where they are known before loading.

        They are those that train, and where some are held out those as well; of a stream, none.
        """
        return None

    def suspects(self) -> list[Finding]:
        """Warnings of what is likely there by mistake."""
        return []

    @abstractmethod
    def load(self) -> Split:
        """The examples, prepared."""

    def streams(self, unread: int = 0) -> bool:
        """Whether batches are streamed to the device, in place of keeping all examples there.

        `unread` counts the input numbers that are not in memory yet.
        """
        if self.keep == "auto":
            return not fits_in_memory(unread)
        return self.keep == "stream"
