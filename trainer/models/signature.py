"""What an exported model takes and gives, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

BATCH = "batch"
"""What the axis of examples is called in files that have names for axes."""
Predict = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A function from inputs to the model's outputs: tensors `[n, ...]`, both by name."""


@dataclass(frozen=True)
class Signature:
    """What an exported model takes and gives, by name."""

    inputs: Mapping[str, tf.TensorSpec]
    """Each input, of any number of examples where the model takes any."""
    arranged: Callable[[Mapping[str, Any]], Any]
    """Makes of the inputs what the model is called with."""
    named: Callable[[Any], Mapping[str, Any]]
    """Makes of what the model returns outputs by name."""

    def called(self, model: keras.Model, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The outputs of a model for inputs, outside of training."""
        return self.named(model(self.arranged(inputs), training=False))


def valid_names(names: Iterable[str]) -> dict[str, str]:
    """Names that layers and tensors may have, for names that data has; each is another one.

    >>> valid_names(["age", "a b", "a/b", "_"])
    {'age': 'age', 'a b': 'a_b', 'a/b': 'a_b_', '_': 'x_'}
    """
    valid: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^0-9A-Za-z_.-]", "_", name) or "inputs"
        plain = plain if plain[0].isalpha() else f"x{plain}"
        while plain in valid.values():
            plain += "_"
        valid[name] = plain
    return valid
