"""What an experiment of a program says by itself, and what is left to defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

WHOLE = ("experiment", "rerun")
"""Keys that say more than can be seen here."""


Source = str | Mapping[str, Any]
"""An override as it is typed, or values by their names."""


@dataclass(eq=False)
class Composition:
    """What an experiment was composed of; nothing where it was declared as a whole."""

    asked: tuple[Source, ...] | None = None
    config_dir: str | PathLike[str] | None = None
    compiled: list[str] = field(default_factory=list)
    """What a given model's `compile` said besides, as overrides."""

    def __eq__(self, other: object) -> bool:
        """It tells nothing of what an experiment is."""
        return True

    __hash__ = None  # type: ignore[assignment]  # as of all that compares by more than identity

    def leaves_unsaid(self, override: str) -> bool:
        """Whether nothing of it says what an override sets.

        An option of a group is said by its name or its `kind`; one of schedules by any of its
        values too, which are of that kind alone.

        >>> composed = Composition(({"optimizer": "adam", "run": {"seed": 3}}, "schedule.value=1"))
        >>> composed.leaves_unsaid("optimizer=sgd"), composed.leaves_unsaid("optimizer.beta_1=0.5")
        (False, True)
        >>> composed.leaves_unsaid("run.length=3"), composed.leaves_unsaid("schedule=constant")
        (True, False)
        """
        if self.asked is None:
            return False
        key = override.partition("=")[0]
        paths = [path for source in self.asked for path in _paths(source)]
        if any(path in WHOLE for path in paths):
            return False
        if key.partition(".")[0] == "schedule":
            return not any(path.partition(".")[0] == "schedule" for path in paths)
        return not any(path in (key, f"{key}.kind") for path in paths)


def _paths(source: Source, above: str = "") -> Iterator[str]:
    """The paths of values that an override or a mapping says."""
    if isinstance(source, str):
        yield source.lstrip("+~").partition("=")[0].partition("@")[0]
        return
    for key, value in source.items():
        path = f"{above}{key}"
        yield path if not isinstance(value, Mapping) or "kind" in value else ""
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}.")
