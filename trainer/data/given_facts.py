"""What a run's folder keeps of data that a program gave: its facts, and none of its examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from schedules.declaration import ABSENT, refuse
from schedules.declaration.plain_files import json_value, read_plain

from ..runs.atomic_files import write
from .examples import Split
from .facts import Facts, Feature
from .trees import Tree, leaves, map_tree, named_leaves

MAX_BYTES = 16 * 2**20
"""How large a file may be that is read."""
LOOKED_AT = 256
"""Of how many test examples the range is kept."""
WORDS = ("", "a", "the word", "0", "Words, and more!")
"""What stands for text that is not there."""

Range = tuple[float, float] | None
"""The smallest and the greatest value of a prepared input; None for text."""


class KeptFeature(NamedTuple):
    """A feature as it is written down."""

    shape: tuple[Annotated[int, Field(ge=0)], ...]
    dtype: Literal["float32", "int32", "string"]
    classes: Annotated[int, Field(ge=1)] | None


class _Record(NamedTuple):
    """The file's entries; the name of a feature alone is ''."""

    examples: Annotated[int, Field(ge=1)] | None
    weighted: bool
    inputs: dict[str, KeptFeature]
    labels: dict[str, KeptFeature]
    ranges: dict[str, Range]


@dataclass(frozen=True)
class GivenFacts:
    """The facts of data that are no longer there, and the range of each prepared input."""

    facts: Facts
    ranges: Tree[Range]

    @classmethod
    def of(cls, facts: Facts, data: Split) -> Self:
        """The facts and ranges of these examples."""
        return cls(facts, map_tree(_range, data.test.inputs))

    def drawn(self, count: int) -> Tree[NDArray[Any]]:
        """Prepared inputs that are like the data's: drawn evenly between smallest and greatest."""
        random = np.random.default_rng(0)

        def draw(feature: Feature, span: Range) -> NDArray[Any]:
            shape = (count, *feature.shape)
            if span is None:
                return random.choice(np.array(WORDS, object), shape)
            low, high = span
            if feature.dtype == "int32":
                return random.integers(int(low), int(high) + 1, shape).astype(np.int32)
            return random.uniform(low, high, shape).astype(np.float32)

        return map_tree(draw, self.facts.inputs, self.ranges)

    def write(self, path: Path) -> None:
        """Writes them as JSON."""
        facts = self.facts
        record = _Record(
            facts.examples,
            facts.weighted,
            {name: KeptFeature(*one) for name, one in named_leaves(facts.inputs)},  # type: ignore[arg-type]
            {name: KeptFeature(*one) for name, one in named_leaves(facts.labels)},  # type: ignore[arg-type]
            dict(named_leaves(self.ranges)),
        )
        features = {
            what: {name: one._asdict() for name, one in getattr(record, what).items()}
            for what in ("inputs", "labels")
        }
        write(path, json.dumps({**record._asdict(), **features}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What `write` wrote; None where there is no file.

        Raises:
            Refused: when the file can't be read.
        """
        try:
            value = json_value(read_plain(path, MAX_BYTES, follow_links=False))
            record = TypeAdapter(_Record).validate_python(value)
            spans = record.ranges.values()
            if record.inputs.keys() != record.ranges.keys() or not record.labels:
                raise ValueError("it lacks inputs or labels")
            if any(span and not -np.inf < span[0] <= span[1] < np.inf for span in spans):
                raise ValueError("a range has no beginning or no end")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise refuse(str(path), ABSENT, f"can't be read: {why}") from None
        inputs, labels = (_tree(tree, _feature) for tree in (record.inputs, record.labels))
        facts = Facts(record.examples, inputs, labels, record.weighted)
        return cls(facts, _tree(record.ranges, lambda span: span))


def _range(inputs: Any) -> Range:
    some = np.asarray(inputs[:LOOKED_AT])
    return None if some.dtype.kind in "OSU" else (float(some.min()), float(some.max()))


def _feature(kept: KeptFeature) -> Feature:
    return Feature(*kept)


def _tree(named: Mapping[str, Any], function: Any) -> Tree[Any]:
    tree = {name: function(one) for name, one in named.items()}
    return leaves(tree)[0] if tree.keys() == {""} else tree
