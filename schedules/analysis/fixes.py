"""What to type to mend a fault that lint found in a curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..clock import Clock, Duration
from ..curve import Curve
from ..declaration import Refused, join_path
from ..declaration.number_text import value_text
from ..kinds.sequences import Wrapped
from ..schedule import Path, Schedule
from .preview import walk

LOWEST_FIELDS = ("min_value", "base_value", "end_value")
"""The fields that usually decide how low a curve goes."""
TIME_CONSTANTS = ("timescale",)
"""The lengths that set a curve's pace; a run need not last as long."""


@dataclass(frozen=True)
class FixHints:
    """Overrides that change a curve; the config has the curve's schedule at `path`."""

    path: str
    curve: Curve
    is_sound: Callable[[Curve], bool]
    """Whether nothing is refused of a curve."""

    def change(
        self,
        is_wrong: Callable[[float], bool],
        *values: float,
        mends: Callable[[Curve], bool] | None = None,
    ) -> str:
        """The overrides that set a wrong number, or all of them, to one of `values`, and mend.

        The first that do are taken: those after which the curve `mends`, or nothing is refused of
        it. Where none do it is as `any_number`.
        """
        wrong = [place for place, number in self._numbers() if is_wrong(number)]
        mends = mends or self.is_sound
        for places in (*([place] for place in wrong), wrong):
            for value in values if places else ():
                try:
                    if mends(self._with(places, value)):
                        return " ".join(f"{self._text(one)}={value_text(value)}" for one in places)
                except Refused:  # the new value does not go with the others
                    continue
        return self.any_number()

    def _with(self, places: Sequence[Path], value: float) -> Curve:
        """The curve with some numbers of its schedule set to a value.

        Raises:
            Refused: when the schedule can't have it.
        """
        root = self.curve.schedule
        config = root.model_dump(mode="json")
        for *keys, last in places:
            inner: Any = config
            for key in keys:
                inner = inner[key]
            inner[last] = value
        family = Wrapped if isinstance(root, Wrapped) else Schedule
        return Curve(family.declared(config), self.curve.clock)

    def _text(self, place: Path) -> str:
        return join_path(self.path, *place)

    def any_number(self) -> str:
        """A hint that names all numbers of the schedule."""
        paths = " or ".join(self._text(place) for place, _ in self._numbers())
        return f"change {paths or self.path or 'schedule'}"

    def begin_part_at(self, label: str, value: float) -> str:
        """The override that makes the part `label` begin at `value`."""
        for path, part, _ in self.parts():
            for name in ("initial_value", "max_value", "value"):
                if label in path and name in type(part).model_fields:
                    return f"{join_path(self.path, *path, name)}={value_text(value)}"
        return self.any_number()

    def shorten_longest(self) -> str:
        """The override that shortens the longest length of the schedule; "" without lengths."""
        lengths = (
            (steps, join_path(self.path, *path, name))
            for path, part, clock in self.parts()
            for name, _, steps in part.lengths(clock)
            if isinstance(getattr(part, name, None), Duration) and name not in TIME_CONSTANTS
        )
        _, longest = max(lengths, default=(0, ""))
        return f"{longest}=10%" if longest else ""

    def parts(self) -> Iterator[tuple[Path, Schedule, Clock]]:
        """The schedule and all inside it: path, schedule, clock."""
        return walk(self.curve.schedule, self.curve.clock)

    def _numbers(self) -> list[tuple[Path, float]]:
        """The place and value of each number in the schedule, `LOWEST_FIELDS` first."""
        numbers = [
            ((*path, name), value)
            for path, part, _ in self.parts()
            for name in type(part).model_fields
            if isinstance(value := getattr(part, name), float)
        ]
        return sorted(numbers, key=lambda number: number[0][-1] not in LOWEST_FIELDS)
