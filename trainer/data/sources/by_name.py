"""Data whose arrays have names: which of them are inputs, labels and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import numpy as np
from pydantic import Field

from schedules.declaration import ABSENT, Problem, did_you_mean, refuse

from ..inputs import Inputs
from ..ragged import RaggedRows
from ..raw_data import RawData
from ..raw_part import RawPart
from ..trees import Tree, map_tree

T = TypeVar("T")

Several: TypeAlias = (
    Annotated[tuple[T, ...], Field(min_length=1)] | Annotated[Mapping[str, T], Field(min_length=1)]
)
"""Arrays by name: `[a, b]` by their own, or `{a: first, b: second}` by others."""

Named: TypeAlias = T | Several[T]
"""One array, or several by name."""


def by_name(chosen: Any) -> Tree[Any]:
    """What is chosen, by the names that the inputs or the labels get.

    >>> by_name("x"), by_name(["a", "b"]), by_name({"left": "a"})
    ('x', {'a': 'a', 'b': 'b'}, {'left': 'a'})
    """
    if isinstance(chosen, Mapping):
        return dict(chosen)
    return {str(one): one for one in chosen} if isinstance(chosen, (tuple, list)) else chosen


class ByName(RawData):
    """Data of which the config names the arrays, be they keys, files, columns or features.

    A kind declares the fields `inputs`, `labels`, `targets` and `weights`, and for tests in the
    same file the same ones behind `test_`. `targets` are several labels, in the place of `labels`.
    """

    what: ClassVar[str]
    """What is chosen by name, such as an array or a feature."""

    def chosen(self, field: str, prefix: str = "") -> Tree[Any] | None:
        """What the config names in a field, by the names that it gives."""
        chosen = getattr(self, f"{prefix}{field}", None)
        return None if chosen is None else by_name(chosen)

    def label_field(self, prefix: str = "") -> str:
        """The field that names the labels: `targets` where there are several."""
        return "targets" if self.chosen("targets", prefix) is not None else "labels"

    @property
    def labels_override(self) -> tuple[str, object]:
        field = self.label_field()
        chosen = getattr(self, field)
        if isinstance(chosen, Mapping):
            return field, {name: str(one) for name, one in chosen.items()}
        if isinstance(chosen, tuple):
            return field, [*map(str, chosen)]
        return field, ABSENT if chosen is None else str(chosen)

    def part(self, read: Callable[[str, Any], Inputs], prefix: str = "") -> RawPart:
        """The arrays of a part; `read` gives one, by the field that names it and by its name.

        Labels and weights are read into memory.
        """

        def of(field: str) -> Tree[Inputs] | None:
            chosen, path = self.chosen(field, prefix), f"{prefix}{field}"
            return None if chosen is None else map_tree(lambda name: read(path, name), chosen)

        inputs, labels, weights = of("inputs"), of(self.label_field(prefix)), of("weights")
        assert inputs is not None
        in_memory = None if labels is None else map_tree(_in_memory, labels)
        assert not isinstance(weights, Mapping)
        return RawPart(inputs, in_memory, None if weights is None else np.array(weights[:]))

    def check_name(self, field: str, name: str, known: Any, of: str) -> None:
        """Refuses a name that the data does not have; `of` says where it was looked for."""
        if name not in known:
            raise refuse(field, name, f"is no {self.what} of {of}", did_you_mean(name, known))

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        for field in ("inputs", "targets", "test_inputs", "test_targets"):
            chosen = getattr(self, field, None)
            if isinstance(chosen, tuple) and len(set(chosen)) < len(chosen):
                rule = "names one of them twice"
                yield Problem(field, [*map(str, chosen)], rule, "leave it out once")
        given = {
            field: getattr(self, f"test_{field}", None) is not None
            for field in ("inputs", self.label_field(), "weights")
            if field != "weights" or getattr(self, "weights", None) is not None
        }
        if any(given.values()):
            missing = [field for field, is_given in given.items() if not is_given]
            for field in missing:
                rule = "is required, since other arrays of the tests are given"
                yield Problem(f"test_{field}", ABSENT, rule)


def _in_memory(array: Inputs) -> Any:
    rows: Any = array[:]
    return rows if isinstance(rows, RaggedRows) else np.array(rows)
