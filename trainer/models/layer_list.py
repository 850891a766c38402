"""A network as a list of Keras' layers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from schedules.declaration import ABSENT, Problem, did_you_mean, float32_fault, join_path, refuse

from ..data import Facts
from .dense import sequential
from .layer_signatures import FAMILY_BY_LAYER, NESTED, RECURRENT, Signature, layer_signature
from .model import Model

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


CODE = "model=python builds a network with a function of yours"
UNLISTED = {
    "Lambda": f"it is code; {CODE}",
    **dict.fromkeys(
        (
            *("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"),
            *("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"),
        ),
        f"it takes several inputs, and a list has no branches; {CODE}, and model=vit and model=text"
        " attend",
    ),
}
"""What to do in the place of layers that one may well look for."""


class Layers(Model):
    """Keras' own layers one after another, each with the arguments that Keras gives it.

    `{kind: Conv2D, filters: 8, kernel_size: 3, activation: relu}` is
    `keras.layers.Conv2D(filters=8, kernel_size=3, activation="relu")`. The outputs of the last
    layer must suit the labels: a logit for each class, or for each at every place. A layer without
    a `name` is named by its kind and a count, `conv2d_1`. Arguments are numbers, words and lists of
    them, and never code; where Keras wants a layer, it is declared in the same way:
    `{kind: Bidirectional, layer: {kind: LSTM, units: 8}}`. Layers that draw at random, such as
    `RandomFlip`, vary what goes through them and never labels.
    """

    kind: Literal["layers"] = "layers"
    layers: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    """The layers from the inputs on, each a `kind` with its arguments."""

    def contradictions(self) -> Iterator[Problem]:
        for i, layer in enumerate(self.layers):
            for problem in _problems(layer):
                path = join_path("layers", i, problem.path)
                yield Problem(path, problem.value, problem.rule, problem.hint)
        for name, count in Counter(self.names()).items():
            if count > 1:
                yield Problem("layers", ABSENT, f"has {count} layers called {name}", "rename one")

    def names(self) -> list[str]:
        """The names of the layers, in their order."""
        counts: Counter[str] = Counter()
        names = []
        for layer in self.layers:
            kind = _snake_case(layer.get("kind"))
            counts[kind] += 1
            names.append(str(layer.get("name", f"{kind}_{counts[kind]}")))
        return names

    def check(self, facts: Facts) -> None:
        self.check_single_input(facts)

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        stack = []
        for i, (layer, name) in enumerate(zip(self.layers, self.names(), strict=True)):
            try:
                stack.append(_made(layer, name))
            except (AttributeError, ImportError, TypeError, ValueError) as error:
                why = next(filter(None, str(error).splitlines()), type(error).__name__)
                raise refuse(f"model.layers.{i}", layer["kind"], f"can't be made: {why}") from None
        return sequential(facts, stack)


def _made(layer: Mapping[str, Any], name: str) -> Any:
    """The layer of Keras, and those within it."""
    from keras import layers

    arguments = {key: value for key, value in layer.items() if key not in ("kind", "name")}
    for key in NESTED.get(layer["kind"], ()):
        if isinstance(inner := arguments.get(key), Mapping):
            # Keras would number it through the whole process.
            prefix = "backward_" if key == "backward_layer" else ""
            inner_name = inner.get("name", prefix + _snake_case(inner["kind"]))
            arguments[key] = _made(inner, str(inner_name))
    return getattr(layers, layer["kind"])(**arguments, name=name)


def _snake_case(kind: object) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", str(kind)).lower()


def _problems(layer: Mapping[str, Any]) -> Iterator[Problem]:
    """Yields what is wrong with the kind and the arguments of a layer."""
    kind = layer.get("kind", ABSENT)
    if not isinstance(kind, str) or kind not in FAMILY_BY_LAYER:
        rule = "is required" if kind is ABSENT else "is no layer that may be listed"
        hint = UNLISTED.get(str(kind)) or did_you_mean(kind, FAMILY_BY_LAYER)
        yield Problem("kind", kind, rule, hint)
        return
    signature = layer_signature(str(kind))
    for name, value in layer.items():
        if name == "kind":
            continue
        if name == "dtype":
            yield Problem(name, value, "is not for a layer to say", "run.precision=mixed_bfloat16")
        elif signature and name not in signature.arguments:
            hint = did_you_mean(name, signature.arguments)
            yield Problem(str(name), value, f"is no argument of {kind}", hint)
        elif name in NESTED.get(str(kind), ()) and value is not None:
            yield from _nested_problems(str(kind), name, value)
        elif not _is_plain(value):
            yield Problem(name, value, "must be a number, a word, true, false, null or a list")
        else:
            yield from (Problem(name, value, rule) for rule in _float32_faults(value))
    yield from _missing_arguments(layer, signature)


def _missing_arguments(layer: Mapping[str, Any], signature: Signature | None) -> Iterator[Problem]:
    for name in signature.required if signature else ():
        if name not in layer:
            hint = ""
            if layer["kind"] == "Normalization":
                hint = "data.normalise=standardise works both out, on the training part"
            yield Problem(name, ABSENT, f"is required for {layer['kind']}", hint)


def _nested_problems(outer: str, name: str, inner: Any) -> Iterator[Problem]:
    """Yields what is wrong with a layer within another one."""
    if not isinstance(inner, Mapping):
        hint = f"{name}: {{kind: {inner if inner in FAMILY_BY_LAYER else 'Dense'}, …}}"
        if outer == "Bidirectional":
            hint = f"{name}: {{kind: LSTM, units: 8}}"
        yield Problem(name, inner, "must be a layer with its kind", hint)
        return
    kind = inner.get("kind")
    if outer == "Bidirectional" and kind in FAMILY_BY_LAYER and kind not in RECURRENT:
        rule = "is no recurrent layer, which alone goes both ways"
        yield Problem(join_path(name, "kind"), kind, rule, f"known: {', '.join(RECURRENT)}")
        return
    for problem in _problems(inner):
        path = join_path(name, problem.path)
        yield Problem(path, problem.value, problem.rule, problem.hint)


def _float32_faults(value: Any) -> Iterator[str]:
    """What is wrong with numbers that a layer would compute with."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _float32_faults(item)
    elif isinstance(value, float) and (rule := float32_fault(value)):
        yield rule


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
