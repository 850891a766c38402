"""Arrays that a program gives, and what a run records of them.

Its `config.yaml` can't hold them; it holds what tells them from others, so that going on with
others is refused. Only a program that gives them again can go on with such a run.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import PrivateAttr

from schedules.declaration import ABSENT, Refused, refuse

from ..raw_data import RawData, RawExamples
from .handed import Handed

if TYPE_CHECKING:
    pass

MEANT = "data=(inputs, labels), or data=((inputs, labels), (test_inputs, test_labels))"


def missing(word: str, kind: str) -> Refused:
    """Why a run can't be made whose objects nobody gave."""
    rule = "was an object of a program, and no file has it"
    return refuse(f"{word}.kind", kind, rule, f"train(experiment, {word}=…) gives it again")


class GivenData(RawData):
    """Arrays that a program gives: `train(experiment, data=(inputs, labels))`.

    Settings such as `normalise` and `held_out` are declared as for any data, under
    `data={kind: given, …}`. Test examples are given as a second pair, or held out. In the place of
    a pair there may be a `tf.data.Dataset` of single examples that knows its length.
    """

    kind: Literal["given"] = "given"
    digest: str | None = None
    """A fingerprint of the arrays, raw as they were given."""
    _found: RawExamples | None = PrivateAttr(default=None)

    def of(self, data: Any) -> Self:
        """The same settings, for this data.

        Raises:
            Refused: when it is not a pair of inputs and labels, or two such pairs.
        """
        found = Handed("data", ABSENT, "is", MEANT).read(data)
        if self.held_out and found.test:
            rule = "is not needed, since test examples are given"
            raise refuse("data.held_out", ABSENT, rule, "leave out one of the two")
        digest = sha256()
        parts = filter(None, (found.train, found.test))
        for array in (np.asarray(array) for part in parts for array in part):
            digest.update(f"{array.dtype}{array.shape}".encode())
            plain = array.astype(str) if array.dtype.hasobject else array
            digest.update(np.ascontiguousarray(plain).tobytes())
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        given = type(self).declared({**settings, "digest": digest.hexdigest()})
        given._found = found
        return given

    def given(self) -> bool:
        return self._found is not None and self._found.test is not None

    @property
    def labelled(self) -> tuple[str, object]:
        return "labels", ABSENT

    def found(self) -> RawExamples:
        if self._found is None:
            raise missing("data", self.kind)
        return self._found
