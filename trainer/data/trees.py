"""Trees: one array, or several by name, as the inputs and the labels of examples are.

Leaves may be arrays, tensors, shapes in `Feature`s, or whatever stands for one array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
U = TypeVar("U")

Tree: TypeAlias = T | Mapping[str, T]
"""A leaf alone, or leaves by their names."""


def map_tree(function: Callable[..., U], tree: Tree[T], *others: Tree[Any]) -> Tree[U]:
    """A tree with the result of `function` for each leaf, and for those at its place in `others`.

    >>> map_tree(lambda x, y: x + y, {"a": 1, "b": 2}, {"b": 20, "a": 10})
    {'a': 11, 'b': 22}
    >>> map_tree(len, "word")
    4
    """
    if isinstance(tree, Mapping):
        return {name: function(leaf, *(o[name] for o in others)) for name, leaf in tree.items()}
    return function(tree, *others)


def named_leaves(tree: Tree[T]) -> Iterator[tuple[str, T]]:
    """Yields the leaves with their names; a leaf alone has the name ''.

    >>> dict(named_leaves({"a": 1, "b": 2})), dict(named_leaves(3))
    ({'a': 1, 'b': 2}, {'': 3})
    """
    yield from tree.items() if isinstance(tree, Mapping) else [("", tree)]


def leaves(tree: Tree[T]) -> list[T]:
    """The leaves, in the order of their names' appearance."""
    return [leaf for _, leaf in named_leaves(tree)]
