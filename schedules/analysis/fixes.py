"""What to type to mend a fault that lint found in a curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..clock import Clock, Duration
from ..curve import Curve
from ..declaration import join_path
from ..declaration.number_text import value_text
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

    def change(self, is_wrong: Callable[[float], bool], value: float) -> str:
        """The override that sets the first wrong number to `value`; else as `any_number`."""
        for path, number in self._numbers():
            if is_wrong(number):
                return f"{path}={value_text(value)}"
        return self.any_number()

    def any_number(self) -> str:
        """A hint that names all numbers of the schedule."""
        paths = " or ".join(path for path, _ in self._numbers())
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

    def _numbers(self) -> list[tuple[str, float]]:
        """The override path and value of each number in the schedule, `LOWEST_FIELDS` first."""
        numbers = [
            (join_path(self.path, *path, name), value)
            for path, part, _ in self.parts()
            for name in type(part).model_fields
            if isinstance(value := getattr(part, name), float)
        ]
        return sorted(numbers, key=lambda number: not number[0].endswith(LOWEST_FIELDS))
