"""Data that a function of the user's returns."""

from __future__ import annotations

from typing import Literal

from schedules.declaration import Refused, refuse
from schedules.declaration.functions import Called

from ..raw_data import RawData, RawExamples
from .handed import Handed

MEANT = "return (inputs, labels), or ((inputs, labels), (test_inputs, test_labels))"


class Python(Called, RawData):
    """What the function `call` returns for `kwargs`: arrays, or `tf.data.Dataset`s of a length.

    It returns `(inputs, labels)`, of which a share is held out, or a pair of these, to train and
    to test. A `tf.data.Dataset` of single examples `(input, label)` may stand for either pair; it
    is read once, into memory, and must know how long it is. The function is called before anything
    else happens, also by previews, and once a process; it must return the same every time.
    """

    kind: Literal["python"] = "python"

    @property
    def labelled(self) -> tuple[str, object]:
        return "call", self.call

    def found(self) -> RawExamples:
        try:
            returned = self.function(**self.kwargs)
        except Refused:
            raise
        except Exception as error:  # whatever the user's function raises
            rule = f"raised {type(error).__name__}: {error}"
            raise refuse("call", self.call, rule, f"it was given {self.kwargs}") from None
        return Handed("call", self.call, "returned", MEANT).read(returned)
