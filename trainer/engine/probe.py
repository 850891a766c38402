"""Whether an optimizer follows what is scheduled: a few made-up updates with each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schedules.declaration import ABSENT, Problem, Refused, within

from ..optimizers import Optimizer
from ..scheduled.dials import Dials


def probe(declared: Optimizer) -> None:
    """Checks that every scheduled field reaches the update, on weights made up for it.

    Keras promises this for the learning rate alone. A version that copies a setting while it is
    built or first traced would train on with that copy, and nobody would see it.

    Raises:
        Refused: naming each field that doesn't, and why.
    """
    problems = []
    for name in declared.scheduled():
        low, high = declared.bounds()[name].apart()
        default = type(declared).model_fields[name].default
        first = default if isinstance(default, float) else low
        alone = _alone(declared, name)
        try:
            stayed, moved = (_probed(alone, name, (first, then, then)) for then in (first, high))
        except (AttributeError, TypeError, ValueError, tf.errors.OpError) as error:
            why = f"the rule takes numbers only ({error})"
        else:
            why = "" if any(map(_differ, stayed, moved)) else "no update takes note of it"
        if why:
            rule = f"cannot be scheduled for {declared.kind}, because {why}"
            problems.append(Problem(name, ABSENT, rule))
    if problems:
        raise Refused(problems)
    for name, group in declared.groups.items():
        if group.settings:
            with within("groups", name):
                probe(declared.for_group(name))


def _alone(declared: Optimizer, name: str) -> Optimizer:
    """The declaration with every number but `name` at its default.

    A threshold that somebody declared may well hide what `name` does to weights so few.
    """
    fields = type(declared).model_fields
    others = {
        other: limits.apart()[0] if fields[other].is_required() else fields[other].default
        for other, limits in declared.bounds().items()
        if other not in (name, "learning_rate")
    }
    return declared.model_copy(update=others)


def _probed(declared: Optimizer, name: str, values: Sequence[float]) -> list[NDArray[Any]]:
    """Made-up weights, and the slots, after an update with each of the `values` of `name`."""
    dials = Dials(("learning_rate", name))
    optimizer = declared.build(dials)
    random = np.random.default_rng(0)
    # A matrix and a vector, since some rules treat them differently. Weights are small and
    # gradients span many magnitudes, so that every clamp, sign and limit is felt somewhere.
    shapes = {"probe_matrix": (8, 8), "probe_vector": (8,)}
    weights = [
        keras.Variable(random.normal(0, 1e-3, shape), dtype="float32", name=path)
        for path, shape in shapes.items()
    ]
    for value in values:
        gradients = [
            tf.constant(random.normal(size=shape) * 10 ** random.uniform(-3, 3, shape), tf.float32)
            for shape in shapes.values()
        ]
        with dials.showing(tf.constant([0.5, value])):
            optimizer.apply(gradients, weights)
    return [variable.numpy() for variable in (*weights, *optimizer.variables)]


def _differ(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return not np.array_equal(a, b, equal_nan=True)
