"""The names by which globs find the weights of a network, those of networks within it too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

import keras

from schedules.declaration import refuse

from ..models.initial_weights import LayerNames
from ..optimizers import matches
from ..scheduled.keras_internals import class_stem, sublayers

SHOWN = 6
"""How many names a refusal lists before it counts the others."""


class WeightNames:
    """What each weight of a model is called: its path, and its address.

    Keras leaves the name of a network out of the paths of its weights where it stands within
    another one. The address has it: the names of the networks around it, then the path. Checkpoints
    know weights by their paths; globs mean either.

    >>> inputs = keras.Input((3,))
    >>> base = keras.Model(inputs, keras.layers.Dense(2, name="d")(inputs), name="base")
    >>> model = keras.Model(inputs, keras.layers.Dense(1, name="logits")(base(inputs)))
    >>> names = WeightNames(model)
    >>> [names.address(weight.path) for weight in model.weights][:2]
    ['base/d/kernel', 'base/d/bias']
    >>> [weight.path for weight in names.under("base")]
    ['d/kernel', 'd/bias']
    """

    def __init__(self, model: keras.Model) -> None:
        self.weights: list[keras.Variable] = list(model.weights)
        around = dict(_around(model))
        self._addresses: dict[str, str] = {
            weight.path: _joined(around.get(id(weight), ""), weight.path) for weight in self.weights
        }

    def address(self, path: str) -> str:
        """The address of the weight with a path."""
        return self._addresses.get(path, path)

    def matches(self, glob: str, path: str) -> bool:
        """Whether a glob means the weight with a path."""
        return matches(glob, path) or fnmatchcase(self.address(path), glob)

    def under(self, glob: str) -> list[keras.Variable]:
        """The weights that a glob means, or that are of a layer which it means."""
        return [
            weight
            for weight in self.weights
            if self.matches(glob, weight.path)
            or any(
                matches(glob, above)
                for name in (weight.path, self.address(weight.path))
                for above in _above(name)
            )
        ]

    def named_by(self, field: str, globs: Iterable[str]) -> dict[int, keras.Variable]:
        """The weights that the globs of a field mean, by their identities.

        Raises:
            Refused: when a glob means none.
        """
        named: dict[int, keras.Variable] = {}
        for glob in globs:
            weights = self.under(glob)
            if not weights:
                raise refuse(field, glob, "means no weight and no layer", self.some())
            named |= {id(weight): weight for weight in weights}
        return named

    def some(self, paths: Sequence[str] | None = None) -> str:
        """A few of the weights, by their addresses, as a hint lists them."""
        names = [self.address(path) for path in (self._addresses if paths is None else paths)]
        if len(names) <= SHOWN:
            return f"the weights are {', '.join(names)}"
        # A weight of each of the outermost layers tells more than all those of the first one.
        heads = {name.partition("/")[0]: name for name in reversed(names)}
        first = list(dict.fromkeys([*reversed(heads.values()), *names]))
        return f"the weights are {', '.join(first[:SHOWN])} and {len(names) - SHOWN} more"


def _around(layer: keras.layers.Layer, networks: str = "") -> Iterator[tuple[int, str]]:
    """Yields the weights within a layer, by identity, with the networks that they are nested in."""
    names = LayerNames()
    for sublayer in sublayers(layer):
        name = names.counted(sublayer.name, class_stem(sublayer))
        inner = f"{networks}{name}/" if isinstance(sublayer, keras.Model) else networks
        for weight in sublayer.weights:
            yield id(weight), inner
        yield from _around(sublayer, inner)


def _joined(networks: str, path: str) -> str:
    """A path after the names of the networks around it, unless it has them already."""
    return path if networks in path else f"{networks}{path}"


def _above(name: str) -> Iterator[str]:
    """Yields the paths of the layers that a weight is in, from the innermost one outwards."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
