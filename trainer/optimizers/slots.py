"""The variables of an optimizer by name, for a checkpoint to tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..scheduled.keras_internals import held_variables

if TYPE_CHECKING:
    import keras


def slots(optimizer: keras.optimizers.Optimizer) -> dict[str, keras.Variable]:
    """Every variable of a built optimizer, under what it is for and the path of its weight.

    Keras' own paths don't do: Adafactor calls a weight's row and column means alike, and the name
    of Nadam's running product counts how many variables the process has made before.

    Raises:
        ValueError: when some variable has no name, or two share one.
    """
    named = []
    for attribute, weight, slot in held_variables(optimizer):
        purpose = attribute.lstrip("_")
        named.append((purpose if weight is None else f"{purpose}/{weight.path}", slot))
    variables = {id(variable) for variable in optimizer.variables}
    if {id(slot) for _, slot in named} != variables or len(dict(named)) != len(variables):
        raise ValueError(f"{type(optimizer).__name__} has variables that can't be told apart")
    return dict(named)
