"""Whether a network made for one data set fits another."""

from __future__ import annotations

from schedules.declaration import ABSENT, refuse

from ..data import Facts
from ..data.facts import Feature
from ..data.trees import Tree, leaves, map_tree, named_leaves


def check_same_facts(run: Facts, now: Facts) -> None:
    """Whether a network made for one data set fits another.

    Raises:
        Refused: with what either has.
    """
    shapes = [map_tree(lambda one: one.shape, facts.inputs) for facts in (now, run)]
    if shapes[0] != shapes[1]:
        here, before = (f"inputs of shape {_shapes(one)}" for one in shapes)
        before = before.removeprefix("inputs of shape ")
    elif _labels(now) != _labels(run):
        here, before = f"{_labels(now)} for labels", _labels(run)
    elif any(
        (new.classes or 0) > (old.classes or 0)
        for new, old in zip(leaves(now.labels), leaves(run.labels), strict=True)
    ):
        here, before = (
            " and ".join(f"{one.classes} classes" for one in leaves(facts.labels))
            for facts in (now, run)
        )
        before = before.removesuffix(" classes")
    else:
        return
    rule = f"has {here}, and the run's network was made for {before}"
    raise refuse("data", ABSENT, rule, "data of the same shape as the run's")


def _shapes(tree: Tree[tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}".strip() for name, shape in named_leaves(tree))


def _labels(facts: Facts) -> str:
    return ", ".join(f"{n} {_label(one)}".strip() for n, one in named_leaves(facts.labels))


def _label(label: Feature) -> str:
    if label.classes is not None:
        return f"classes at {list(label.shape)} places" if label.shape else "classes"
    if label.shape == (1,):
        return "a number"
    return f"{label.shape[0]} numbers" if len(label.shape) == 1 else f"numbers {list(label.shape)}"
