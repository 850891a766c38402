"""What is known of a data set before it is loaded; models, losses and metrics need no more."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Facts(NamedTuple):
    """The sizes of a data set that a model, a loss and a clock need before it is loaded."""

    examples: int
    """How many training examples there are: one epoch of the clock."""
    shape: tuple[int, ...]
    """The shape of one input."""
    classes: int | None = None
    """How many classes the labels name, from 0 on; None where labels are numbers to predict."""
    targets: int = 1
    """How many numbers a label has, where it names no class."""

    @property
    def task(self) -> Literal["classes", "numbers"]:
        """Whether labels name classes or are numbers to predict."""
        return "numbers" if self.classes is None else "classes"

    @property
    def outputs(self) -> int:
        """How many outputs a model has for one input: a logit per class, or a number per target.

        >>> Facts(4000, (28, 28, 1), classes=10).outputs, Facts(506, (13,)).outputs
        (10, 1)
        """
        return self.targets if self.classes is None else self.classes
