"""A network as a list of Keras' layers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from schedules.declaration import ABSENT, Problem, did_you_mean, joined, refuse

from .dense import sequential
from .layer_signatures import FAMILY_OF, Signature, signature
from .model import Model

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Layers(Model):
    """Keras' own layers one after another, each with the arguments that Keras gives it.

    `{kind: Conv2D, filters: 8, kernel_size: 3, activation: relu}` is
    `keras.layers.Conv2D(filters=8, kernel_size=3, activation="relu")`. The last one has to give
    what the labels need: a logit a class. Layers without a `name` are called by their kind and
    counted, `conv2d_1`. Arguments are numbers, words and lists of them, so that nothing that a
    config names can run.
    """

    kind: Literal["layers"] = "layers"
    layers: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    """The layers from the inputs on, each a `kind` with its arguments."""

    def contradictions(self) -> Iterator[Problem]:
        for i, layer in enumerate(self.layers):
            for problem in _problems(layer):
                path = joined("layers", i, problem.path)
                yield Problem(path, problem.value, problem.rule, problem.hint)
        for name, many in Counter(self.names()).items():
            if many > 1:
                yield Problem("layers", ABSENT, f"has {many} layers called {name}", "rename one")

    def names(self) -> list[str]:
        """What the layers are called."""
        counts: Counter[str] = Counter()
        names = []
        for layer in self.layers:
            word = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", str(layer.get("kind"))).lower()
            counts[word] += 1
            names.append(str(layer.get("name", f"{word}_{counts[word]}")))
        return names

    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        from keras import layers

        flow = []
        for i, (layer, name) in enumerate(zip(self.layers, self.names(), strict=True)):
            arguments = {key: value for key, value in layer.items() if key not in ("kind", "name")}
            try:
                flow.append(getattr(layers, layer["kind"])(**arguments, name=name))
            except (AttributeError, TypeError, ValueError) as error:
                why = next(filter(None, str(error).splitlines()), type(error).__name__)
                raise refuse(f"model.layers.{i}", layer["kind"], f"can't be made: {why}") from None
        return sequential(shape, flow)


def _problems(layer: Mapping[str, Any]) -> Iterator[Problem]:
    kind = layer.get("kind", ABSENT)
    if kind not in FAMILY_OF:
        rule = "is required" if kind is ABSENT else "is no layer that may be listed"
        hint = did_you_mean(kind, FAMILY_OF)
        if kind == "Lambda":
            hint = "it is code; model=python builds a network with a function of yours"
        yield Problem("kind", kind, rule, hint)
        return
    found = signature(str(kind))
    for name, value in layer.items():
        if name == "kind":
            continue
        if name == "dtype":
            yield Problem(name, value, "is not for a layer to say", "run.precision=mixed_bfloat16")
        elif found and name not in found.known:
            hint = did_you_mean(name, found.known)
            yield Problem(str(name), value, f"is no argument of {kind}", hint)
        elif not _is_plain(value):
            yield Problem(name, value, "must be a number, a word, true, false, null or a list")
    yield from _missing(layer, found)


def _missing(layer: Mapping[str, Any], found: Signature | None) -> Iterator[Problem]:
    for name in found.required if found else ():
        if name not in layer:
            yield Problem(name, ABSENT, f"is required for {layer['kind']}")


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
