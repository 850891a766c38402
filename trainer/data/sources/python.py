"""Data that a function of the user's returns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, ClassVar, Literal

from schedules.declaration import Problem, Refused, refuse
from schedules.declaration.functions import CODE_ERRORS, CallsFunction, raised

from ...runs.known_secrets import MASK, veil_tree
from ...runs.redaction import secret_placeholders, with_placeholders
from ..raw_examples import RawExamples
from ..trees import map_tree
from .by_name import ByName, Named, Several
from .conversion import Converter, is_array

STREAM_HINT = "return (stream, (test_inputs, test_labels))"
HINT = "return (inputs, labels), or ((inputs, labels), (test_inputs, test_labels))"


class Python(CallsFunction, ByName):
    """What the function `call` returns for `kwargs`: arrays, or `tf.data.Dataset`s of a length.

    The function returns `(inputs, labels)`, of which a share is held out, or a pair of these, to
    train and to test. A `tf.data.Dataset` may stand for either pair, and a stream for the first: a
    pipeline of `tf.data` that is random, endless or large, or a function that makes a generator.
    With `inputs` it returns a dict of arrays by name, or a dataset of such, and the config names
    what is learnt from. The function is called once a process, before anything else happens, also
    by previews. Every call must return the same.
    """

    kind: Literal["python"] = "python"
    inputs: Named[str] | None = None
    """The names of the inputs in the dict that is returned; null where it is no dict of all."""
    labels: str | None = None
    """The name of the labels in that dict; null where the inputs are to be given back."""
    targets: Several[str] | None = None
    """The names of several labels in the place of `labels`, each a label by its name."""
    weights: str | None = None
    """The name of what each example counts for."""
    what: ClassVar[str] = "key"
    has_order: ClassVar[bool] = True

    @property
    def labels_override(self) -> tuple[str, object]:
        return ("call", self.call) if self.inputs is None else super().labels_override

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.inputs is None:
            for field in ("labels", "targets", "weights"):
                if (value := getattr(self, field)) is not None:
                    rule = "names a key of the dict that is returned, and no inputs are named"
                    yield Problem(field, value, rule, "data.inputs=NAME, or [NAME,NAME], as well")

    def read(self) -> RawExamples:
        try:
            returned = self.function(**self.kwargs)
        except Refused:
            raise
        except CODE_ERRORS as error:  # whatever the user's function raises
            raise refuse("call", self.call, raised(error), _arguments(self.kwargs)) from None
        if self.inputs is not None:
            is_pair = isinstance(returned, (tuple, list)) and len(returned) == 2
            if is_pair and not any(map(is_array, returned)):
                returned = tuple(map(self._chosen, returned))
            else:
                returned = self._chosen(returned)
        return Converter("call", self.call, "returned", HINT, STREAM_HINT).convert(returned)

    def _chosen(self, returned: Any) -> Any:
        """The inputs, labels and weights of a part that is a dict, or a dataset of such.

        Raises:
            Refused: when it is neither, or lacks one.
        """
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is not None and isinstance(returned, tensorflow.data.Dataset):
            if isinstance(returned.element_spec, Mapping):
                self._of(returned.element_spec)  # which refuses a wrong name in words
                return returned.map(lambda item: _without_none(self._of(item)))
        elif isinstance(returned, Mapping):
            return self._of(returned)
        rule = f"returned {type(returned).__name__}, and data.inputs names keys of a dict"
        hint = "return {'x': inputs, 'y': labels}, or leave out data.inputs"
        raise refuse("call", self.call, rule, hint)

    def _of(self, arrays: Mapping[str, Any]) -> tuple[Any, ...]:
        """The inputs, the labels, which may be None, and the weights where there are any."""

        def one(field: str) -> Any:
            chosen = self.chosen(field)
            return None if chosen is None else map_tree(lambda name: found(field, name), chosen)

        def found(field: str, name: str) -> Any:
            self.check_name(field, name, arrays, self.call)
            return arrays[name]

        inputs, labels, weights = one("inputs"), one(self.label_field()), one("weights")
        return (inputs, labels) if weights is None else (inputs, labels, weights)


def _without_none(part: tuple[Any, ...]) -> Any:
    """The same as `tf.data` has it: the inputs alone where there are no labels."""
    return part[0] if part[1] is None else part


def _arguments(kwargs: Mapping[str, Any]) -> str:
    """What a function was given, without secrets."""
    secrets = dict.fromkeys(secret_placeholders(kwargs), MASK)
    return f"it was given {veil_tree(with_placeholders(deepcopy(dict(kwargs)), secrets))}"
