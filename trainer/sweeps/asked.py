"""What a program asks a sweep for, as overrides of a command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schedules.declaration import refuse

from ..config.from_python import to_yaml_value
from .grid import params_overrides


def typed_arguments(asked: Sequence[object]) -> list[str]:
    """The overrides that texts and mappings stand for; a text wins over any mapping.

    >>> typed_arguments(["schedule=cosine,rex", {"run": {"seed": range(1, 4)}}])
    ['++run.seed=1,2,3', 'schedule=cosine,rex']
    >>> typed_arguments([{"model.hidden": [[64], [64, 32]]}])
    ['++model.hidden=[64],[64,32]']

    Raises:
        Refused: when a value is nothing that a config can hold.
    """
    values: dict[str, Any] = {}
    texts: list[str] = []
    for part in asked:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            values.update(_flat(part))
        else:
            rule = f"is a {type(part).__name__}, and must be a text or a mapping"
            raise refuse("override", part, rule, "'run.seed=1,2', or {'run.seed': [1, 2]}")
    return [*params_overrides(values, texts), *texts]


def _flat(values: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values by their paths; a mapping with a `kind`, or with nothing in it, is one value."""
    for key, value in values.items():
        if not isinstance(key, str):
            raise refuse("override", key, "must be a name, such as 'run.seed'")
        path = f"{above}{key}"
        if isinstance(value, Mapping) and value and "kind" not in value:
            yield from _flat(value, f"{path}.")
        else:
            yield path, to_yaml_value(path, value)
