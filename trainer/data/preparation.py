"""How raw inputs become the inputs of a network; the record of it is kept with the run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from schedules.declaration import ABSENT, did_you_mean, refuse
from schedules.declaration.plain_files import json_value, read_plain

from ..runs.atomic_files import write
from .column import Prepared
from .column_preparation import CategoryPreparation, DatePreparation, TextPreparation
from .facts import Feature
from .input_preparation import InputPreparation
from .trees import Tree, map_tree

Names = tuple[str, ...] | None
"""The names of the classes 0, 1, 2 …; None where they have none."""
MAX_BYTES = 64 * 2**20
"""How large a preparation may be that is read."""

NUMBERS = "numbers"
"""The input that the columns of numbers make together, where there are others."""

KINDS: dict[str, Any] = {
    "number": InputPreparation,
    "category": CategoryPreparation,
    "text": TextPreparation,
    "date": DatePreparation,
}
"""The preparation of an input by its kind."""


@dataclass(frozen=True)
class Preparation:
    """How each input of an example is prepared; and the names of the classes.

    A preparation is worked out on the training part alone and is part of `Split`. A run folder has
    it as `preparation.json`, and later predictions use the same one:

        prepared = Preparation.read(folder / "preparation.json").apply(raw)
    """

    inputs: Tree[Prepared]
    """How the input is prepared, or each by its name."""
    names: Tree[Names] = None
    """The names of the classes, where they are not 0, 1, 2 …; or those of each label by its
    name."""
    columns: tuple[str, ...] | None = None
    """The columns of a table that make one input, in their order."""

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        shift: tuple[float, ...] = (0.0,),
        scale: tuple[float, ...] = (1.0,),
        names: Names = None,
        columns: tuple[str, ...] | None = None,
    ) -> Self:
        """The preparation `(x - shift) / scale` of a single input."""
        return cls(InputPreparation(shape, shift, scale), names, columns)

    def apply(self, raw: Tree[NDArray[Any]]) -> Tree[NDArray[Any]]:
        """The inputs of the network for raw ones: an array `[n, ...]`, or several by name.

        The columns of a table may also be given one by one, by their names in any order, with
        others among them; for windows each is `[n, length]`, or `[length]` for one.

        Raises:
            Refused: when one is missing, of another shape, or of another type.
        """
        raw = self._gathered(raw)
        if not isinstance(self.inputs, Mapping):
            if isinstance(raw, Mapping):
                raise refuse("inputs", ABSENT, f"must be one array, not {', '.join(raw)}")
            return self.inputs.apply(raw)
        if not isinstance(raw, Mapping) or (missing := sorted(self.inputs.keys() - raw.keys())):
            absent = ", ".join(missing) if isinstance(raw, Mapping) else "names"
            rule = f"must be arrays by name, and lack {absent}"
            raise refuse("inputs", ABSENT, rule, f"known: {', '.join(self.inputs)}")
        return {n: one.apply(raw[n], f"inputs.{n}") for n, one in self.inputs.items()}

    def _gathered(self, raw: Tree[NDArray[Any]]) -> Tree[NDArray[Any]]:
        """The same with the columns of numbers together, where they come one by one."""
        if not isinstance(raw, Mapping) or self.columns is None or NUMBERS in raw:
            return raw
        if missing := [name for name in self.columns if name not in raw]:
            rule = f"must have all columns, and lack {', '.join(missing[:8])}"
            raise refuse("inputs", ABSENT, rule, did_you_mean(missing[0], raw))
        of_windows = not isinstance(self.inputs, Mapping) and len(self.inputs.shape) > 1
        columns = [np.asarray(raw[name]) for name in self.columns]
        columns = [np.atleast_2d(x) if of_windows else x.reshape(-1) for x in columns]
        for name, column in zip(self.columns, columns, strict=True):
            if column.dtype.kind not in "biuf":
                rule = f"is {column.dtype}, and must be numbers"
                raise refuse(f"inputs.{name}", ABSENT, rule)
        lengths = {column.shape if of_windows else len(column) for column in columns}
        if len(lengths) > 1:
            listed = " and ".join(map(str, sorted(lengths)))
            raise refuse("inputs", ABSENT, f"must be columns of one length, not of {listed}")
        if not isinstance(self.inputs, Mapping):
            return np.asarray(np.stack(columns, axis=-1))
        return {**raw, NUMBERS: np.stack(columns, axis=1)} if columns else raw

    @property
    def is_of_columns(self) -> bool:
        """Whether an example is a row of a table of single cells, and no window of rows."""
        if self.columns is None:
            return False
        if isinstance(self.inputs, Mapping):
            own = [one for name, one in self.inputs.items() if name != NUMBERS]
            has_lists = any(isinstance(one, InputPreparation) for one in own)
            return not has_lists and all(getattr(one, "steps", None) is None for one in own)
        return len(self.inputs.shape) == 1

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """The columns of a table that inputs are made of."""
        own = [n for n in self.inputs if n != NUMBERS] if isinstance(self.inputs, Mapping) else []
        return (*(self.columns or ()), *own)

    def features(self) -> Tree[Feature]:
        """What the inputs are to the network."""
        return map_tree(lambda one: Feature(one.shape, one.dtype, one.classes), self.inputs)

    def undo(self, prepared: Tree[NDArray[Any]]) -> Tree[NDArray[Any]]:
        """Raw inputs from prepared ones, as far as float32 could hold them."""
        return map_tree(lambda one, values: one.undo(values), self.inputs, prepared)

    def write(self, path: Path | str) -> None:
        """Writes the preparation as JSON, with every digit of its numbers."""
        several = isinstance(self.inputs, Mapping)
        inputs = map_tree(_fields, self.inputs)
        record = {"inputs": inputs} if several else dict(inputs)
        record |= {"names": self.names, "columns": self.columns}
        write(Path(path), json.dumps(record, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The preparation that `write` wrote.

        Raises:
            Refused: when the file can't be read.
        """
        try:
            fields = json_value(read_plain(path, MAX_BYTES, follow_links=False))
            names, columns = fields.pop("names"), fields.pop("columns")
            inputs: Tree[Prepared] = (
                {name: _input(one) for name, one in fields["inputs"].items()}
                if "inputs" in fields
                else _input(fields)
            )
            by_name = isinstance(names, dict)
            names = map_tree(_immutable, names) if by_name else _immutable(names)
            return cls(inputs, names, _immutable(columns))
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            raise refuse(str(path), ABSENT, f"can't be read: {why}") from None


def _fields(one: Prepared) -> dict[str, Any]:
    """The fields of an input's preparation; what is usual is left out."""
    fields = asdict(one)
    if isinstance(one, InputPreparation):
        del fields["kind"]
        if one.dtype == "float32":
            del fields["dtype"]
        if one.fill is None:
            del fields["fill"]
        if one.filling is None:
            del fields["filling"]
    return fields


def _input(fields: dict[str, Any]) -> Prepared:
    kind = KINDS[fields.get("kind", "number")]
    known = kind(**fields)  # refuses other keys
    names = {field.name for field in dataclasses.fields(kind)}
    made: Prepared = TypeAdapter(kind).validate_python({n: getattr(known, n) for n in names})
    return made


def _immutable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
