"""What is known of a data set before it is loaded; models, losses and metrics need no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from .trees import Tree, leaves, map_tree, named_leaves

if TYPE_CHECKING:
    from .buckets import Buckets

Task = Literal["classes", "numbers"]


class Feature(NamedTuple):
    """One array of an example, be it an input or a label."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    """The type that the network or the loss gets."""
    classes: int | None = None
    """How many classes its whole numbers name, from 0 on; None where they are numbers."""

    @property
    def task(self) -> Task:
        """Whether a label names classes or is numbers to predict."""
        return "numbers" if self.classes is None else "classes"

    @property
    def is_comparable(self) -> bool:
        """Whether outputs of a network can be compared with it: not with ids or with text."""
        return self.classes is not None or self.dtype == "float32"

    @property
    def outputs(self) -> tuple[int, ...]:
        """The shape of what a network gives for such a label: a logit per class, or the numbers.

        >>> Feature((16, 16), "int32", classes=3).outputs, Feature((2,)).outputs
        ((16, 16, 3), (2,))
        """
        return self.shape if self.classes is None else (*self.shape, self.classes)

    def described(self) -> str:
        """The label in words, for refusals."""
        if self.classes is not None:
            places = f" at each of {list(self.shape)} places" if self.shape else ""
            return f"{self.classes} classes{places}"
        if len(self.shape) == 1:
            return f"{self.shape[0]} numbers a label"
        return f"labels of shape {list(self.shape)}"


@dataclass(frozen=True)
class Facts:
    """The sizes of a data set that a model, a loss and a clock need before it is loaded."""

    examples: int | None
    """How many training examples there are: one epoch of the clock. None for a stream of which that
    is not known."""
    inputs: Tree[Feature]
    """What an example has for the network: one array, or several by name."""
    labels: Tree[Feature]
    """What the network is to say of it: one label, or several by name."""
    weighted: bool = False
    """Whether every example has a weight in losses and metrics."""
    buckets: Buckets | None = None
    """The lengths that batches are cut to, where they have several."""

    @classmethod
    def of(
        cls,
        examples: int,
        shape: tuple[int, ...],
        classes: int | None = None,
        targets: int = 1,
    ) -> Self:
        """The facts of data with one input of this shape and one label: a class, or `targets`
        numbers.

        >>> Facts.of(4000, (28, 28, 1), classes=10).outputs, Facts.of(506, (13,)).outputs
        (10, 1)
        """
        label = Feature((targets,)) if classes is None else Feature((), "int32", classes)
        return cls(examples, Feature(shape), label)

    @property
    def input(self) -> Feature:
        """The only input, which may have a name.

        Raises:
            TypeError: when there are several.
        """
        return _only(self.inputs, "input")

    @property
    def label(self) -> Feature:
        """The only label, which may have a name.

        Raises:
            TypeError: when there are several.
        """
        return _only(self.labels, "label")

    @property
    def input_name(self) -> str:
        """The name of the only input; `inputs` where it has none."""
        return next(iter(self.inputs)) if isinstance(self.inputs, Mapping) else "inputs"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the only input."""
        return self.input.shape

    @property
    def classes(self) -> int | None:
        """How many classes the only label names; None where it is numbers to predict."""
        return self.label.classes

    @property
    def task(self) -> Task:
        """Whether the only label names classes or is numbers to predict."""
        return self.label.task

    @property
    def outputs(self) -> int:
        """How many outputs a model has at the end of its last axis: a logit per class, or
        numbers.
        """
        return self.label.outputs[-1] if self.label.outputs else 1

    @property
    def has_comparable_labels(self) -> bool:
        """Whether outputs can be compared with the labels, or with the inputs to give back."""
        return all(label.is_comparable for label in leaves(self.labels))

    def of_any_length(self) -> Facts:
        """What a network is built for: where batches have several lengths, with steps of any
        number, None in shapes.
        """
        if self.buckets is None:
            return self

        def opened(features: Tree[Feature], names: tuple[str, ...]) -> Tree[Feature]:
            opened = {n: f._replace(shape=(None, *f.shape[1:])) for n, f in named_leaves(features)}  # type: ignore[arg-type]
            each = {n: opened[n] if n in names else f for n, f in named_leaves(features)}
            return each if isinstance(features, Mapping) else each[""]

        inputs = opened(self.inputs, self.buckets.inputs)
        given_back = self.labels is self.inputs
        labels = inputs if given_back else opened(self.labels, self.buckets.labels)
        return replace(self, inputs=inputs, labels=labels)

    def for_label(self, name: str) -> Facts:
        """The same data with the label of that name alone."""
        assert isinstance(self.labels, Mapping)
        return replace(self, labels=self.labels[name])

    @property
    def output_shapes(self) -> Tree[tuple[int, ...]]:
        """The shape of the output for each label."""
        return map_tree(lambda label: label.outputs, self.labels)


def _only(tree: Tree[Feature], what: str) -> Feature:
    found = dict(named_leaves(tree))
    if len(found) != 1:
        raise TypeError(f"there is no single {what}, but {', '.join(found)}")
    return next(iter(found.values()))
