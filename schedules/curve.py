"""A schedule on a clock: what a preview and the training both read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .clock import Clock
from .declaration import refuse, within
from .moments import Moments, Values
from .schedule import Failed, Metrics, Path, Schedule


class Curve:
    """A schedule on a clock: what `load` gives, and what a preview and the training both read.

    >>> curve = load({"kind": "exponential", "initial_value": 0.1, "decay_steps": 10,
    ...               "decay_rate": 0.5, "staircase": True}, Clock(total_steps=100))
    >>> curve(9), curve(10)
    (0.1, 0.05)
    >>> curve(np.arange(9, 11))
    array([0.1 , 0.05])
    """

    def __init__(self, schedule: Schedule, clock: Clock, path: Path = ()) -> None:
        """Checks `schedule`, which a config has at `path`, and keeps a copy of it."""
        self.path = path
        with within(*path):
            schedule.check(clock)
        self.schedule = schedule.model_copy(deep=True)
        self.clock = clock

    @overload
    def __call__(self, steps: int) -> float: ...
    @overload
    def __call__(self, steps: NDArray[np.integer[Any]] | list[int]) -> Values: ...
    def __call__(self, steps: ArrayLike) -> float | Values:
        """The float64 value at each of `steps`, whole numbers from 0 on; a number gives a float.

        Raises:
            ValueError: for a step that is negative or no whole number.
            Refused: when a function that the config names fails, or gives no number, there.
        """
        asked = np.asarray(steps)
        if asked.size and (not np.issubdtype(asked.dtype, np.integer) or asked.min() < 0):
            raise ValueError(f"steps must be whole numbers from 0 on, got {steps!r}")
        if not asked.size:
            return np.empty(asked.shape)
        # One contiguous row whatever was asked, so that a value is the same bits alone or in a
        # million: numpy rounds a scalar's powers and cosines otherwise than an array's.
        t = Moments.at(np.ascontiguousarray(asked.ravel(), dtype=np.int64), self.clock)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # lint tells of these
            values = self._at(t).reshape(asked.shape)
        return values if asked.ndim else float(values)

    def _at(self, t: Moments) -> Values:
        try:
            return self.schedule.at(t)
        except Failed as failed:
            paths = (path for path, part in self.schedule.tree() if part is failed.part)
            with within(*self.path, *next(paths)):
                raise

    def observe(self, metrics: Metrics, step: int | None = None) -> None:
        """Tells the reacting schedules what an evaluation found.

        With `step`, the number of updates done, only the part of a sequence that is in force
        then hears it; without, all do.
        """
        t = None if step is None else Moments.at(np.array([step], np.int64), self.clock)
        with within(*self.path):
            self.schedule.observe(metrics, t)

    def set(self, value: float | None) -> None:
        """Turns every `manual` schedule in here to `value`, from the next step asked for on.

        None gives it back its `initial_value`.

        Raises:
            Refused: when there is none, or `value` is no finite number.
        """
        with within(*self.path):
            if not self.schedule.turn(value):
                rule = "no part of this schedule is set by hand"
                raise refuse("", value, rule, "use kind: manual")

    @property
    def manual(self) -> bool:
        """Whether a part of it is set by hand, so that `set` has something to turn."""
        return self.schedule.manual()

    @property
    def reacts(self) -> bool:
        """Whether the values depend on what `observe` has heard, or on a hand."""
        return self.schedule.reacts()

    def state(self) -> dict[str, Any]:
        """All that `observe` has changed, as JSON holds it."""
        return self.schedule.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state()` gave, on this or another curve of the same schedule.

        Raises:
            Refused: when the state was not made by such a schedule.
        """
        with within(*self.path):
            if set(state) != set(self.state()):
                rule = f"is no state of this schedule, which has {sorted(self.state())}"
                raise refuse("", sorted(state), rule)
            self.schedule.restore(state)


def load(config: Mapping[str, Any] | Schedule, clock: Clock | None = None) -> Curve:
    """The curve that `config` declares, on `clock`.

    Raises:
        Refused: with the path inside `config`, the value, the rule it breaks, and a hint.

    >>> load({"kind": "linear", "initial_value": 1.0, "end_value": 0.0}, Clock(total_steps=4))(1)
    0.75
    >>> load({"kind": "linear", "initial_value": 1.0}, Clock(total_steps=4))
    Traceback (most recent call last):
    schedules.declaration.errors.Refused: end_value: is required
      hint: the value from `decay_steps` on
    """
    return Curve(Schedule.declared(config), clock or Clock())
