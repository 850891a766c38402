"""The variables of an optimizer by name, for a checkpoint to tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def slots(optimizer: keras.optimizers.Optimizer) -> dict[str, keras.Variable]:
    """Every variable of a built optimizer, under what it is for and the path of its weight.

    Keras' own paths don't do: Adafactor calls a weight's row and column means alike, and the name
    of Nadam's running product counts how many variables the process has made before.

    Raises:
        ValueError: when some variable has no name, or two share one.
    """
    own = {id(variable) for variable in optimizer.variables}
    paths = [weight.path for weight in optimizer._trainable_variables]
    named = []
    for attribute, held in vars(optimizer).items():
        name = attribute.lstrip("_")
        if name == "variables":
            continue
        if isinstance(held, list):
            # Lists of slots run parallel to the weights, with None where a weight has no such slot.
            pairs = zip(paths, held, strict=False)
            named += [(f"{name}/{path}", slot) for path, slot in pairs if id(slot) in own]
        elif id(held) in own:
            named.append((name, held))
    if {id(slot) for _, slot in named} != own or len(dict(named)) != len(own):
        raise ValueError(f"{type(optimizer).__name__} has variables that can't be told apart")
    return dict(named)
