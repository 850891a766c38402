"""What to type so that a curve loses a fault that was found in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..clock import Clock, Duration
from ..curve import Curve
from ..declaration import joined
from ..declaration.wording import written
from ..schedule import Path, Schedule
from .preview import everything

LOWEST = ("min_value", "base_value", "end_value")
"""The fields that tell best how low a curve goes."""


@dataclass(frozen=True)
class Mending:
    """The overrides of a config that has a curve's schedule at `place`."""

    place: str
    curve: Curve

    def handle(
        self, wrong: Callable[[float], bool] = lambda value: False, mended: float = 0
    ) -> str:
        """The override to change: the first number that is wrong, or all that there are."""
        numbers = sorted(self._numbers(), key=lambda number: not number[0].endswith(LOWEST))
        for path, value in numbers:
            if wrong(value):
                return f"{path}={written(mended)}"
        return f"change {' or '.join(path for path, _ in numbers) or self.place or 'schedule'}"

    def beginning(self, label: str, value: float) -> str:
        """The override that lets the part `label` begin at `value`."""
        for path, part, _ in self.parts():
            for name in ("initial_value", "max_value", "value"):
                if label in path and name in type(part).model_fields:
                    return f"{joined(self.place, *path, name)}={written(value)}"
        return self.handle()

    def shorter(self) -> str:
        """The override that makes the longest length of the schedule a short one."""
        found = (
            (steps, joined(self.place, *path, name))
            for path, part, clock in self.parts()
            for name, _, steps in part.lengths(clock)
            if isinstance(getattr(part, name, None), Duration)
        )
        _, longest = max(found, default=(0, ""))
        return longest and f"{longest}=10%"

    def parts(self) -> Iterator[tuple[Path, Schedule, Clock]]:
        """The schedule and all that it is made of: path, schedule, clock."""
        return everything(self.curve.schedule, self.curve.clock)

    def _numbers(self) -> Iterator[tuple[str, float]]:
        """Every number in the schedule with its override path."""
        for path, part, _ in self.parts():
            for name in type(part).model_fields:
                if isinstance(value := getattr(part, name), float):
                    yield joined(self.place, *path, name), value
