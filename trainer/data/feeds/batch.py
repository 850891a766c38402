"""The examples that are looked at together: tensors, or whatever stands for each array."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..examples import Examples
from ..trees import Tree, leaves, map_tree


class Batch(NamedTuple):
    """Inputs and labels, each one array or several by name, and perhaps weights."""

    inputs: Tree[Any]
    own_labels: Tree[Any] | None
    """None where the inputs themselves are to be given back."""
    weights: Any = None
    """What each example counts for; None where all count alike."""

    @classmethod
    def of(cls, examples: Examples) -> Batch:
        """All examples of a part."""
        given_back = examples.labels is examples.inputs
        return cls(examples.inputs, None if given_back else examples.labels, examples.weights)

    @property
    def labels(self) -> Tree[Any]:
        """What the network is to say."""
        return self.inputs if self.own_labels is None else self.own_labels

    def arrays(self) -> tuple[Any, ...]:
        """The inputs and the labels, and the weights where there are any: what a step gets."""
        return (self.inputs, self.labels, *(() if self.weights is None else (self.weights,)))

    def distinct(self) -> list[Any]:
        """Every array, once: labels that are the inputs are not counted again."""
        own_labels = [] if self.own_labels is None else leaves(self.own_labels)
        weights = [] if self.weights is None else [self.weights]
        return [*leaves(self.inputs), *own_labels, *weights]

    def map(self, function: Callable[[Any], Any]) -> Batch:
        """The same with `function` of each array."""
        inputs = map_tree(function, self.inputs)  # first, as in `distinct`
        own_labels = None if self.own_labels is None else map_tree(function, self.own_labels)
        weights = None if self.weights is None else function(self.weights)
        return Batch(inputs, own_labels, weights)

    @property
    def size(self) -> int:
        """How many examples there are."""
        return int(leaves(self.inputs)[0].shape[0])

    def rows(self, which: Any) -> Batch:
        """Some of its examples: a slice, or their numbers."""
        import tensorflow as tf

        if isinstance(which, slice):
            return self.map(lambda array: array[which])
        return self.map(lambda array: tf.gather(array, which))

    def followed_by(self, other: Batch) -> Batch:
        """Its examples, and then those of another."""
        import tensorflow as tf

        following = iter(other.distinct())
        return self.map(lambda array: tf.concat([array, next(following)], 0))

    def filled(self, arrays: Iterable[Any]) -> Batch:
        """The same with other arrays, in the order of `distinct`."""
        following = iter(arrays)
        return self.map(lambda _: next(following))
