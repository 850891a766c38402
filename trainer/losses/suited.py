"""The declared loss as it suits the examples that there are."""

from __future__ import annotations

from typing import Any

from schedules.declaration import ABSENT, refuse, within

from ..data import Facts
from ..data.trees import Tree, named_leaves
from .loss import Loss


def suited_loss(loss: Loss, facts: Facts, labels: Tree[Any] | None) -> Loss:
    """The loss to use with data of these facts; `labels`, those that train, where they are known.

    Raises:
        Refused: when it does not suit them, or compares outputs with labels and there are none.
    """
    if loss.compared is not None and not facts.has_comparable_labels:
        name = next(n for n, one in named_leaves(facts.labels) if not one.is_comparable)
        rule = f"has no labels, and the input {name} is nothing to give back"
        hint = "bring labels, or inputs that are numbers; a training step needs no labels"
        raise refuse("data.labels", ABSENT, rule, hint)
    with within("loss"):
        loss = loss if labels is None else loss.for_labels(labels, facts)
        return loss.for_data(facts)
