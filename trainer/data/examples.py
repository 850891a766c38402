"""Examples in memory, the checks that they can be learnt from, and their fingerprint."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse, within

from .facts import Facts
from .finite import check_finite
from .on_disk import Stored
from .preparation import Preparation, pieces

DIGEST_ALL_BYTES = 2**30
"""Up to this many bytes of inputs, a fingerprint covers all of them."""
DIGEST_SAMPLES = 4096
"""How many inputs a fingerprint covers where there are more bytes."""


@dataclass(frozen=True)
class Examples:
    """Inputs `[n, ...]` in float32, and labels: `[n]` in int32, or `[n, targets]` in float32."""

    inputs: NDArray[np.float32] | Stored
    labels: NDArray[np.int32] | NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def check(self, name: str, facts: Facts) -> None:
        """Refuses, under the part's `name`, examples that can't be learnt from."""
        if not len(self):
            raise refuse(name, ABSENT, "has no examples")
        if len(self.inputs) != len(self):
            rule = f"has {len(self.inputs)} inputs and {len(self)} labels"
            raise refuse(name, ABSENT, rule, "give each input one label")
        if self.inputs.shape[1:] != facts.shape:
            rule = f"has inputs of shape {list(self.inputs.shape[1:])}, not {list(facts.shape)}"
            raise refuse(name, ABSENT, rule)
        if not isinstance(self.inputs, Stored):  # stored inputs are checked when they are read
            check_finite(name, "a value", self.inputs)
        if facts.classes is None:
            if self.labels.shape[1:] != (facts.targets,):
                rule = f"has labels of shape {list(self.labels.shape[1:])}, not [{facts.targets}]"
                raise refuse(name, ABSENT, rule)
            check_finite(name, "a label", self.labels)
            return
        outside = (self.labels < 0) | (self.labels >= facts.classes)
        if outside.any():
            i = int(outside.argmax())
            rule = f"has label {self.labels[i]} in example {i}, outside 0 to {facts.classes - 1}"
            raise refuse(name, ABSENT, rule, "number the classes from 0 on")


@dataclass(frozen=True)
class Split:
    """The examples that train, and those held out to evaluate."""

    train: Examples
    test: Examples
    preparation: Preparation
    """How the raw inputs became these."""

    def check(self, facts: Facts) -> None:
        """Checks that the examples agree with `facts` and can be learnt from.

        Raises:
            Refused: naming the part and the first example at fault.
        """
        for name, part in (("train", self.train), ("test", self.test)):
            with within("data"):
                part.check(name, facts)

    @cached_property
    def digest(self) -> str:
        """A fingerprint of the values, to tell whether two runs saw the same data.

        The fingerprint covers all labels and all prepared inputs. Of inputs that take more than a
        gigabyte it covers 4,096, evenly spaced, and a change of a few others goes unnoticed. Dates
        of files don't count: a copy is the same data.
        """
        digest = sha256()
        for examples in (self.train, self.test):
            inputs, labels = examples.inputs, examples.labels
            digest.update(f"{inputs.dtype}{inputs.shape}".encode())
            for piece in _digested(inputs):
                digest.update(np.ascontiguousarray(piece).data)
            digest.update(f"{labels.dtype}{labels.shape}".encode())
            digest.update(np.ascontiguousarray(labels).data)
        return digest.hexdigest()


def _digested(inputs: NDArray[np.float32] | Stored) -> Iterator[NDArray[np.float32]]:
    """The inputs that a fingerprint covers, in pieces."""
    if math.prod(inputs.shape) * 4 <= DIGEST_ALL_BYTES:
        yield from pieces(inputs)
        return
    row_index = np.linspace(0, len(inputs) - 1, DIGEST_SAMPLES).astype(np.int64)
    for start in range(0, DIGEST_SAMPLES, 64):
        yield inputs[row_index[start : start + 64]]
