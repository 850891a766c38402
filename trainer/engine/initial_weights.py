"""A network that begins with weights of another run or program: which it takes, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..models.initial_weights import WHERE, InitialWeights, LayerNames, Source
from ..scheduled.keras_internals import class_stem, sublayers
from .weight_names import WeightNames

TAKEN, RESIZED, LEFT = "taken", "resized", "left"
SHOWN = 20
"""How many weights a table lists by themselves."""


class Begun(NamedTuple):
    """How a weight begins."""

    weight: str
    how: str
    """One of the words above."""
    shape: tuple[int, ...]
    source: tuple[int, ...] | None = None
    """The shape in the source, where it has the weight."""


@dataclass(frozen=True)
class Beginning:
    """What was taken from where, before the first update."""

    path: str
    digest: str
    begun: Sequence[Begun]
    unused: Sequence[str]
    """What the source has besides, by the names that it has there."""

    def details(self) -> dict[str, Any]:
        """All of it, for an event."""
        return {
            "path": self.path,
            "digest": self.digest,
            "weights": {each.weight: each.how for each in self.begun},
            "unused": list(self.unused),
        }

    def table(self) -> str:
        """It in words: what was taken by outermost layers, and the rest a weight a line."""
        counts = Counter(each.how for each in self.begun)
        summary = ", ".join(f"{counts[how]} {how}" for how in (TAKEN, RESIZED, LEFT))
        heads = Counter(e.weight.partition("/")[0] for e in self.begun if e.how == TAKEN)
        lines = [f"{TAKEN:<8} {head}/*: {count}" for head, count in heads.items()]
        others = [each for each in self.begun if each.how != TAKEN]
        for each in others[:SHOWN]:
            there = f" from {list(each.source)}" if each.source else ""
            lines.append(f"{each.how:<8} {each.weight} {list(each.shape)}{there}")
        if len(others) > SHOWN:
            lines.append(f"{'':<8} and {len(others) - SHOWN} more, in events.jsonl")
        if self.unused:
            more = f" and {len(self.unused) - 3} more" if len(self.unused) > 3 else ""
            lines.append(f"{'unused':<8} {', '.join(self.unused[:3])}{more}")
        table = "\n".join(f"    {line}" for line in lines)
        return f"weights of {self.path}: {summary}\n{table}"


def begin(model: keras.Model, declared: InitialWeights) -> Beginning:
    """Puts the declared weights into a network that has not trained yet.

    Raises:
        Refused: when there is none to take, or one has another shape and nothing declares that.
    """
    source, names = declared.read(), WeightNames(model)
    fresh = names.named_by(f"{WHERE}.fresh", declared.fresh)
    resized = names.named_by(f"{WHERE}.resized", declared.resized)
    found = _found(model, names, source)
    begun, unfit = [], []
    for weight in names.weights:
        name, shape = names.address(weight.path), tuple(weight.shape)
        key = None if id(weight) in fresh else found.get(id(weight))
        array = None if key is None else source.arrays[key]
        if array is None:
            begun.append(Begun(name, LEFT, shape))
        elif array.shape == shape:
            weight.assign(array)
            begun.append(Begun(name, TAKEN, shape, shape))
        elif id(weight) in resized and array.ndim == len(shape):
            weight.assign(_resized(np.asarray(weight).copy(), array))
            begun.append(Begun(name, RESIZED, shape, array.shape))
        else:
            unfit.append(Begun(name, LEFT, shape, array.shape))
    if unfit:
        listed = "; ".join(f"{e.weight} is {list(e.shape)} and there {list(e.source or ())}"
                           for e in unfit[:3])  # fmt: skip
        more = f"; and {len(unfit) - 3} more" if len(unfit) > 3 else ""
        heads = dict.fromkeys(each.weight.rpartition("/")[0] + "/*" for each in unfit)
        globs = ",".join(f"'{head}'" for head in heads)
        hint = f"init_from.fresh=[{globs}] leaves it as it is"
        raise refuse(WHERE, declared.path, f"has other shapes: {listed}{more}", hint)
    if all(each.how == LEFT for each in begun):
        there = ", ".join(list(source.arrays)[:3])
        rule = f"has no weight of this network: {there}, …"
        raise refuse(WHERE, declared.path, rule, names.some())
    used = {found[id(w)] for w in names.weights if id(w) in found and id(w) not in fresh}
    unused = [key for key in source.arrays if key not in used and "seed_generator" not in key]
    return Beginning(declared.path, source.digest, begun, unused)


def _found(model: keras.Model, names: WeightNames, source: Source) -> dict[int, str]:
    """The name in the source of each weight that it has, by the weight's identity.

    A path is taken with the name of the model and without, an address as well; each counts only
    where it is a single weight's.
    """
    if source.by_layer:
        by_place = {name: id(weight) for name, weight in _placed(model, ())}
        return {by_place[key]: key for key in source.arrays if key in by_place}
    keys = {key: key for key in source.arrays}
    shortened = Counter(key.partition("/")[2] for key in source.arrays)
    keys |= {
        short: key
        for key in source.arrays
        if (short := key.partition("/")[2]) not in source.arrays and shortened[short] == 1
    }
    found: dict[int, str] = {}
    for weight in names.weights:
        path, address = weight.path, names.address(weight.path)
        tried = (path, address, path.partition("/")[2])
        key = next((keys[name] for name in tried if "/" in name and name in keys), None)
        if key is not None and key not in found.values():
            found[id(weight)] = key
    return found


def _placed(
    layer: keras.layers.Layer, above: tuple[str, ...]
) -> Iterator[tuple[str, keras.Variable]]:
    """Yields the weights of a model as files of Keras name them: by layer, and place in it."""
    names, inner = LayerNames(), sublayers(layer)
    theirs = {id(weight) for sublayer in inner for weight in sublayer.weights}
    own = [weight for weight in layer.weights if id(weight) not in theirs]
    for place, weight in enumerate(own):
        yield "/".join((*above, str(place))), weight
    for sublayer in inner:
        yield from _placed(sublayer, (*above, names.counted(sublayer.name, class_stem(sublayer))))


def _resized(here: NDArray[Any], there: NDArray[Any]) -> NDArray[Any]:
    """What both have of each axis from there, the rest from here."""
    both = tuple(slice(min(a, b)) for a, b in zip(here.shape, there.shape, strict=True))
    here[both] = there[both]
    return here
