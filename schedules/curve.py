"""A schedule on a clock; a preview and the training both read its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .batch_sizes import BatchSizes
from .clock import Clock
from .declaration import refuse, within
from .moments import Moments, Values
from .schedule import EvaluationRefused, Metrics, Path, Schedule


class Curve:
    """A schedule on a clock: `load` returns one; a preview and the training both read its values.

    >>> curve = load({"kind": "exponential", "initial_value": 0.1, "decay_steps": 10,
    ...               "decay_rate": 0.5, "staircase": True}, Clock(total_steps=100))
    >>> curve(9), curve(10)
    (0.1, 0.05)
    >>> curve(np.arange(9, 11))
    array([0.1 , 0.05])
    """

    def __init__(
        self,
        schedule: Schedule,
        clock: Clock,
        path: Path = (),
        batch_sizes: BatchSizes | None = None,
    ) -> None:
        """Checks a schedule and keeps a copy of it; `path` is where the config has it.

        With `batch_sizes` the value at a step is that of the examples that were seen by then, for
        a schedule whose lengths are all in epochs or examples. `clock` has the present batch size.
        """
        self.path = path
        self.batch_sizes = batch_sizes
        with within(*path):
            schedule.check(clock)
        self.schedule = schedule.model_copy(deep=True)
        self.clock = clock

    @overload
    def __call__(self, steps: int) -> float: ...
    @overload
    def __call__(self, steps: NDArray[np.integer[Any]] | list[int]) -> Values: ...
    def __call__(self, steps: ArrayLike) -> float | Values:
        """The float64 value at each of `steps`, whole numbers from 0 on; a float for one number.

        Raises:
            ValueError: for a step that is negative or no whole number.
            Refused: when a function that the config names fails there, or returns no number.
        """
        array = np.asarray(steps)
        if not array.size:
            return np.empty(array.shape)
        if not np.issubdtype(array.dtype, np.integer) or array.min() < 0:
            raise ValueError(f"steps must be whole numbers from 0 on, got {steps!r}")
        # Formulas always see one contiguous row, since numpy rounds the powers and cosines of a
        # scalar differently from those of an array. A value has the same bits in any array.
        t = self._moments(np.ascontiguousarray(array.ravel(), dtype=np.int64))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # lint reports these
            values = self._at(t).reshape(array.shape)
        return values if array.ndim else float(values)

    def marks(self) -> Iterator[tuple[str, Fraction]]:
        """The named moments where the curve changes its course, in steps."""
        for label, moment in self.schedule.marks(self.clock):
            sizes = self.batch_sizes
            yield label, sizes.updates(moment * sizes.now) if sizes else moment

    def _moments(self, steps: NDArray[np.int64]) -> Moments:
        """The steps on the clock: a step of it is an update of the present batch size."""
        if self.batch_sizes is None:
            return Moments.at(steps, self.clock)
        return Moments(self.batch_sizes.examples(steps), self.batch_sizes.now, self.clock)

    def _at(self, t: Moments) -> Values:
        try:
            return self.schedule.at(t)
        except EvaluationRefused as refused:
            paths = (path for path, part in self.schedule.tree() if part is refused.part)
            with within(*self.path, *next(paths)):
                raise

    def observe(self, metrics: Metrics, step: int | None = None) -> None:
        """Passes the results of an evaluation to the reacting schedules.

        `step` is the number of updates done. Only the part of a sequence that is in force then
        gets the results; without `step` all parts do.
        """
        t = None if step is None else self._moments(np.array([step], np.int64))
        with within(*self.path):
            self.schedule.observe(metrics, t)

    def set(self, value: float | None) -> None:
        """Sets every `manual` schedule in here to `value`; later calls of the curve return it.

        None sets it back to its `initial_value`.

        Raises:
            Refused: when there is none, or `value` is no finite number.
        """
        with within(*self.path):
            if not self.schedule.set_manual(value):
                rule = "no part of this schedule is set by hand"
                raise refuse("", value, rule, "use kind: manual")

    @property
    def manual(self) -> bool:
        """Whether a part of it is `manual`, and can be changed by `set`."""
        return self.schedule.has_manual()

    @property
    def reacts(self) -> bool:
        """Whether the values depend on what was observed, or set by hand."""
        return self.schedule.reacts()

    def state(self) -> dict[str, Any]:
        """All that `observe` and `set` have changed; JSON can hold it."""
        return self.schedule.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state()` returned, on this or another curve of the same schedule.

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
    schedules.declaration.refusals.Refused: end_value: is required
      hint: the value from `decay_steps` on
    """
    return Curve(Schedule.declared(config), clock or Clock())
