"""Data that a function of the user's returns."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, Literal

from schedules.declaration import Refused, refuse
from schedules.declaration.functions import CODE_ERRORS, CallsFunction, raised

from ...runs.known_secrets import MASK, veil_tree
from ...runs.redaction import secret_placeholders, with_placeholders
from ..raw_data import RawData, RawExamples
from .conversion import Converter

STREAM_HINT = "return (stream, (test_inputs, test_labels))"
HINT = "return (inputs, labels), or ((inputs, labels), (test_inputs, test_labels))"


class Python(CallsFunction, RawData):
    """What the function `call` returns for `kwargs`: arrays, or `tf.data.Dataset`s of a length.

    The function returns `(inputs, labels)`, of which a share is held out, or a pair of these, to
    train and to test. A `tf.data.Dataset` may stand for either pair, and a stream for the first: a
    pipeline of `tf.data` that is random, endless or large, or a function that makes a generator.
    The function is called once a process, before anything else happens, also by previews. Every
    call must return the same.
    """

    kind: Literal["python"] = "python"
    has_order: ClassVar[bool] = True

    @property
    def labels_override(self) -> tuple[str, object]:
        return "call", self.call

    def read(self) -> RawExamples:
        try:
            returned = self.function(**self.kwargs)
        except Refused:
            raise
        except CODE_ERRORS as error:  # whatever the user's function raises
            raise refuse("call", self.call, raised(error), _arguments(self.kwargs)) from None
        return Converter("call", self.call, "returned", HINT, STREAM_HINT).convert(returned)


def _arguments(kwargs: Mapping[str, Any]) -> str:
    """What a function was given, without secrets."""
    secrets = dict.fromkeys(secret_placeholders(kwargs), MASK)
    return f"it was given {veil_tree(with_placeholders(deepcopy(dict(kwargs)), secrets))}"
