"""Arrays that a program passes to `train`, and what a run records of them.

A run's `config.yaml` can't hold the arrays. It holds their fingerprint: a program that passes the
same arrays again can continue the run, and other arrays are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from schedules.declaration import ABSENT, Refused, refuse

from ..examples import Split
from ..facts import Facts
from ..given_facts import GivenFacts
from ..ragged import RaggedRows
from ..raw_data import RawData
from ..raw_examples import RawExamples
from ..trees import Tree, named_leaves
from .conversion import Converter

HINT = "data=(inputs, labels), or data=((inputs, labels), (test_inputs, test_labels))"


MISSING = "was an object of a program, and no file has it"


def object_missing(family: str, path: str) -> Refused:
    """The refusal of a run whose `data` or `model` was an object of a program and is not there.

    `path` is that of the declaration's kind.
    """
    hint = f"train(experiment, {family}=…) gives it again"
    return refuse(path, "given", MISSING, hint)


class GivenData(RawData):
    """Arrays that a program gives: `train(experiment, data=(inputs, labels))`.

    Settings such as `normalise` and `held_out` are declared as for any data, under
    `data={kind: given, …}`. Test examples are given as a second pair, or held out. In the place of
    a pair there may be a `tf.data.Dataset`, and in that of the first one a stream.
    """

    kind: Literal["given"] = "given"
    has_order: ClassVar[bool] = True
    digest: str | None = None
    """A fingerprint of the arrays as the program passed them."""
    _raw: RawExamples | None = PrivateAttr(default=None)
    _kept: GivenFacts | None = PrivateAttr(default=None)
    """What a run's folder has of the arrays, where they are not there."""

    @property
    def is_here(self) -> bool:
        """Whether a program has given the arrays to this process."""
        return self._raw is not None

    def keep_facts(self, path: Path, data: Split) -> None:
        """Writes down what is known of the arrays, for predictions of others like them."""
        GivenFacts.of(self.facts(), data).write(path)

    def with_kept_facts(self, path: Path) -> Self:
        """A copy that knows of its arrays what `keep_facts` wrote.

        Raises:
            Refused: when it can't be read.
        """
        copy = self.model_copy()
        copy._kept = GivenFacts.read(path)
        return copy

    @property
    def kept(self) -> GivenFacts | None:
        """What is known of arrays that are not there."""
        return None if self.is_here else self._kept

    def facts(self) -> Facts:
        return self.kept.facts if self.kept else super().facts()

    def known_labels(self) -> Tree[NDArray[Any]] | None:
        return None if self.kept else super().known_labels()

    def of(self, data: Any) -> Self:
        """A copy with the same settings, for these arrays.

        Raises:
            Refused: when `data` is not a pair of inputs and labels, or two such pairs.
        """
        raw = Converter("data", ABSENT, "is", HINT).convert(data)
        digest = sha256()
        for name, array in _named_arrays(raw):
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            plain = array.astype(str) if array.dtype.hasobject else array
            digest.update(np.ascontiguousarray(plain).tobytes())
        return self._of_arrays(raw, digest.hexdigest())

    def with_arrays_of(self, other: GivenData) -> Self:
        """A copy with the same settings, for the arrays of another one, which are not read again.

        Raises:
            Refused: when the settings hold out what is given.
        """
        assert other._raw is not None, "declared, and never given"
        return self._of_arrays(other._raw, other.digest)

    def _of_arrays(self, raw: RawExamples, digest: str | None) -> Self:
        if self.held_out and raw.test:
            rule = "is not needed, since test examples are given"
            raise refuse("data.held_out", ABSENT, rule, "leave out one of the two")
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        declared = type(self).declared({**settings, "digest": digest})
        declared._raw = raw
        declared._asked = self._asked
        return declared

    def override(self, field: str, value: object) -> str:
        path, _, last = field.rpartition(".")
        setting = f"{path}: {{{last}: {value}}}" if path else f"{last}: {value}"
        return f"data={{kind: given, {setting}}}"

    def has_test_part(self) -> bool:
        return self._raw is not None and self._raw.test is not None

    @property
    def labels_override(self) -> tuple[str, object]:
        return "labels", ABSENT

    def read(self) -> RawExamples:
        if self._raw is None:
            raise object_missing("data", "kind")
        return self._raw


def _named_arrays(raw: RawExamples) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yields every array, with what it is called where it is one of several."""
    for part in raw.parts:
        trees = (("input", part.inputs), ("label", part.labels), ("weights", part.weights))
        for what, tree in trees:
            leaves: Iterator[tuple[str, Any]] = named_leaves(tree) if tree is not None else iter(())
            for name, array in leaves:
                called = f"{what} {name} " if name or what == "weights" else ""
                if isinstance(array, RaggedRows):
                    yield f"{called}values ", array.values
                    yield f"{called}splits ", array.splits
                else:
                    yield called, np.asarray(array)
