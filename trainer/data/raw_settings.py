"""What is declared of data that users bring."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from schedules.declaration import ABSENT, Problem, Whole

from .buckets import Declared as Buckets
from .buckets import bucket_problems
from .data import Data
from .held_out import HeldOut
from .input_preparation import Normalise
from .label_task import Task
from .ragged import Ragged
from .raw_examples import RawExamples
from .window import Window


class RawSettings(Data):
    """The settings of raw inputs and labels."""

    task: Task = "auto"
    """Whether labels name classes or are numbers to predict; `auto`: fractions are numbers."""
    classes: Annotated[Whole, Field(ge=2)] | None = None
    """How many classes there are; null for as many as are met."""
    shape: Annotated[tuple[Annotated[Whole, Field(ge=1)], ...], Field(min_length=1)] | None = None
    """The shape that an input is given, such as [28, 28, 1]; null for the one it has."""
    normalise: Normalise = "none"
    """How inputs are brought to a size to train on; worked out on the training part alone."""
    held_out: HeldOut | None = None
    """What is held out to evaluate by; null for a fifth, or for none if there are tests."""
    ragged: Ragged | None = None
    """How rows of different lengths are brought to one; null where they all have one."""
    buckets: Buckets | None = None
    """How many lengths batches have, or the greatest one of each but the last; null for one length.

    Rows of like lengths make a batch, and are filled up to no more than its own length.
    """
    window: Window | None = None
    """How rows in the order of time are cut into examples; null where a row is an example."""
    epoch: Annotated[Whole, Field(ge=1)] | None = None
    """How many examples of a stream are an epoch; null for as many as a pass has, if that is
    known."""

    has_order: ClassVar[bool] = False
    """Whether examples may be rows in the order of time, of which windows can be taken."""

    @abstractmethod
    def read(self) -> RawExamples:
        """The raw examples: labels in memory, inputs in memory or on disk.

        A kind whose labels stay on disk too has a `_labels` of its own.

        Raises:
            Refused: when a file is missing, or holds something else.
        """

    def override(self, field: str, value: object) -> str:
        """The override that gives a field of this data a value, for hints."""
        return f"data.{field}={value}"

    @property
    @abstractmethod
    def labels_override(self) -> tuple[str, object]:
        """The override that says where labels are: its path and its value."""

    def has_test_part(self) -> bool:
        """Whether the data has test examples of its own."""
        return False

    def contradictions(self) -> Iterator[Problem]:
        if self.held_out and self.has_test_part():
            rule = "is not needed, since test examples are given"
            yield Problem("held_out", ABSENT, rule, "leave out one of the two")
        if self.classes is not None and self.task == "regression":
            rule = "is of no use to task=regression"
            yield Problem("classes", self.classes, rule, "leave it out")
        if self.window is not None and not self.has_order:
            rule = f"is for rows in the order of time, which data={self.kind} has not"
            yield Problem("window", ABSENT, rule, "data=csv, parquet, npz, npy or python has")
        elif self.window is not None and self.held_out and self.held_out.seed:
            rule = "draws examples to hold out, and of windows the last rows are held out"
            yield Problem("held_out.seed", self.held_out.seed, rule, "leave it out")
        yield from bucket_problems(self.buckets, self.ragged, self.window, self.override)
        if self.window is not None and self.ragged is not None:
            rule = "is for rows of steps, and in a window each row is a step"
            yield Problem("ragged", ABSENT, rule, "leave out one of the two")
