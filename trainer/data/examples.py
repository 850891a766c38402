"""Examples in memory, the checks that they can be learnt from, and their fingerprint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, refuse, within

from .facts import Facts, Feature
from .finite import check_finite
from .input_preparation import pieces
from .inputs import read_ahead
from .kept_digests import can_wait, changed_file, remembered
from .on_disk import Stored
from .preparation import Preparation
from .trees import Tree, leaves, named_leaves
from .windows import Windows, overlapping

if TYPE_CHECKING:
    from .streams.streamed import Streamed

DIGEST_ALL_BYTES = 2**30
"""Up to this many bytes of inputs, a fingerprint covers all of them."""
DIGEST_SAMPLES = 4096
"""How many inputs a fingerprint covers where there are more bytes."""


Array = NDArray[Any]


@dataclass(frozen=True)
class Examples:
    """Inputs and labels, each one array or several by name, and perhaps a weight each.

    An input is `[n, ...]` in float32, or in int32 for ids, or text; a label `[n, ...]` in int32
    for a class, or for one at each place, or in float32.
    """

    inputs: Tree[Any]
    """Arrays, or inputs that are `Stored`."""
    labels: Tree[Any]
    """Arrays, labels that are `Stored`, or the very `inputs` where those are to be given back."""
    weights: NDArray[np.float32] | None = None
    """What each example counts for in losses and metrics, `[n]`; None where all count alike."""
    lengths: NDArray[np.int64] | None = None
    """How many steps each example has, `[n]`, where batches are of those of like lengths."""

    def __len__(self) -> int:
        return len(leaves(self.labels)[0])

    def named_arrays(self) -> Iterator[tuple[str, Any]]:
        """Yields all that examples hold, each with a name where it is one of several."""
        several = isinstance(self.inputs, Mapping) or isinstance(self.labels, Mapping)
        for name, array in named_leaves(self.inputs):
            yield f"input {name} " if several else "", array
        if self.labels is not self.inputs:
            for name, array in named_leaves(self.labels):
                yield f"label {name} " if several else "", array
        if self.weights is not None:
            yield "weights ", self.weights

    def check(self, name: str, facts: Facts) -> None:
        """Refuses, under the part's `name`, examples that can't be learnt from."""
        if not len(self):
            raise refuse(name, ABSENT, "has no examples")
        inputs, labels = dict(named_leaves(self.inputs)), dict(named_leaves(self.labels))
        for what, feature in named_leaves(facts.inputs):
            _check_input(name, what, inputs[what], feature, len(self))
        for what, feature in named_leaves(facts.labels):
            _check_label(name, what, labels[what], feature)


def _check_input(
    name: str, which: str, array: Array | Stored | Windows, feature: Feature, examples: int
) -> None:
    inputs = f"inputs {which}" if which else "inputs"
    if len(array) != examples:
        rule = f"has {len(array)} {inputs} and {examples} labels"
        raise refuse(name, ABSENT, rule, "give each input one label")
    if array.shape[1:] != feature.shape:
        rule = f"has {inputs} of shape {list(array.shape[1:])}, not {list(feature.shape)}"
        raise refuse(name, ABSENT, rule)
    if isinstance(array, Stored) or array.dtype.kind != "f":
        return  # stored inputs are checked when they are read
    if isinstance(array, Windows):
        check_finite(name, "a value", array.rows, each="row")
    else:
        check_finite(name, "a value", array)


def _check_label(name: str, which: str, array: Array | Stored, feature: Feature) -> None:
    labels = f"labels {which}" if which else "labels"
    if array.shape[1:] != feature.shape:
        rule = f"has {labels} of shape {list(array.shape[1:])}, not {list(feature.shape)}"
        raise refuse(name, ABSENT, rule)
    if isinstance(array, Stored):
        return
    if feature.classes is None:
        if array.dtype.kind == "f":
            check_finite(name, "a label", array)
        return
    outside = ((array < 0) | (array >= feature.classes)).reshape(len(array), -1)
    if outside.any():
        i = int(outside.any(axis=1).argmax())
        label = array.reshape(len(array), -1)[i][outside[i]][0]
        rule = f"has label {label} in example {i}, outside 0 to {feature.classes - 1}"
        raise refuse(name, ABSENT, rule, "number the classes from 0 on")


@dataclass(frozen=True)
class Split:
    """The examples that train, and those held out to evaluate."""

    train: Examples
    test: Examples
    preparation: Preparation
    """How the raw inputs became these."""
    stream: Streamed | None = None
    """What gives the examples that train, where they come one after another; `train` then has the
    first few."""

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
        of files don't count: a copy is the same data. Of a stream it covers the first examples and
        the tests. Images in files that are the same on the disk as at an earlier look are not
        read again. Where one was another when it was read than when it was listed, the values that
        were learnt from are not known, and the text that says so is like no other's.
        """
        arrays = self._named_arrays
        made = remembered(arrays, lambda: _fingerprint(arrays))
        file = changed_file(arrays)
        return f"unknown: {file} changed while it was read" if file else made

    @property
    def digest_can_wait(self) -> bool:
        """Whether `digest` may be asked for after examples were learnt from.

        It may of images in files that nobody has looked at before, which it decodes.
        """
        return can_wait(self._named_arrays)

    @property
    def _named_arrays(self) -> list[tuple[str, Any]]:
        return [named for part in (self.train, self.test) for named in part.named_arrays()]


def _fingerprint(arrays: Iterable[tuple[str, Any]]) -> str:
    """A fingerprint of what named arrays hold."""
    digest = sha256()
    for name, array in arrays:
        _add(digest, array, name)
    return digest.hexdigest()


def _add(digest: Any, array: Any, name: str) -> None:
    """Adds an array to a fingerprint, with its name where it is one of several."""
    digest.update(f"{name}{array.dtype}{array.shape}".encode())
    if (windows := overlapping(array)) is not None:  # each row once
        array, places = windows
        digest.update(places.tobytes())
    for piece in _digested(array):
        if piece.dtype.hasobject:
            piece = piece.astype(str).astype(object)
            digest.update("\0".join(piece.ravel()).encode())
        else:
            digest.update(np.ascontiguousarray(piece).data)


def _digested(inputs: Array | Stored) -> Iterator[Array]:
    """The inputs that a fingerprint covers, in pieces."""
    if math.prod(inputs.shape) * 4 <= DIGEST_ALL_BYTES:
        yield from pieces(inputs)
        return
    row_index = np.linspace(0, len(inputs) - 1, DIGEST_SAMPLES).astype(np.int64)
    keys = (row_index[start : start + 64] for start in range(0, DIGEST_SAMPLES, 64))
    yield from read_ahead(inputs, keys)
