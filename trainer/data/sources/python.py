"""Data that a function of the user's returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from schedules.declaration import Refused, refuse
from schedules.declaration.functions import Called

from ..raw_data import Brought, Found
from .handed import Handed

OURS = "trainer.data.sources.python:moons"
"""A function of this project's own, there for an example."""

MEANT = "return (inputs, labels), or ((inputs, labels), (test_inputs, test_labels))"


class Python(Called, Brought):
    """What the function `call` returns for `kwargs`: arrays, or `tf.data.Dataset`s of a length.

    It returns `(inputs, labels)`, of which a share is held out, or a pair of these, to train and
    to test. A `tf.data.Dataset` of single examples `(input, label)` may stand for either pair; it
    is read once, into memory, and must know how long it is. The function is called before anything
    else happens, also by previews, and once a process; it must return the same every time.
    """

    kind: Literal["python"] = "python"

    def code(self) -> Iterator[tuple[str, str]]:
        if self.call != OURS:
            yield from super().code()

    @property
    def labelled(self) -> tuple[str, object]:
        return "call", self.call

    def found(self) -> Found:
        try:
            returned = self.function(**self.kwargs)
        except Refused:
            raise
        except Exception as error:  # whatever the user's function raises
            rule = f"raised {type(error).__name__}: {error}"
            raise refuse("call", self.call, rule, f"it was given {self.kwargs}") from None
        return Handed("call", self.call, "returned", MEANT).read(returned)


def moons(examples: int = 1000, noise: float = 0.1, seed: int = 0) -> tuple[Any, Any]:
    """Two half circles that reach into one another: an example for `python`.

    As scikit-learn's `make_moons`.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    labels = np.arange(examples) % 2
    angle = np.pi * random.random(examples)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inputs = np.where(labels[:, None] == 1, [1.0, 0.5] - upper, upper)
    return inputs + noise * random.standard_normal((examples, 2)), labels
